import { setImmediate as pause } from 'node:timers/promises';
import { Counter, Gauge, Registry } from 'prom-client';
import type { Metrics } from '../../shared/contract/host.ts';
import type { Figure } from './figures.ts';

export type Labels = Record<string, string>;
interface Family {
  type: 'gauge' | 'counter';
  name: string;
  help: string;
  labelNames: string[];
  series: [Labels, number][];
}

async function textOf({ type, name, help, labelNames, series }: Family): Promise<string> {
  const registry = new Registry();
  const configuration = { name, help, labelNames, registers: [registry] };
  if (type === 'gauge') {
    const gauge = new Gauge(configuration);
    for (const [labels, value] of series) gauge.set(labels, value);
  } else {
    const counter = new Counter(configuration);
    for (const [labels, value] of series) if (value >= 0) counter.inc(labels, value);
  }
  return registry.metrics();
}

/** Families of series, which are named and filled first and written in the end. */
export function openFamilies() {
  const all: Family[] = [];
  function family(type: Family['type'], name: string, help: string, labelNames: string[]) {
    const series: Family['series'] = [];
    all.push({ type, name, help, labelNames, series });
    return (labels: Labels, value: number | boolean) => void series.push([labels, Number(value)]);
  }
  return {
    /** Answers a function that adds a series. */
    gauge: (name: string, help: string, ...labelNames: string[]) => family('gauge', name, help, labelNames),
    counter: (name: string, help: string, ...labelNames: string[]) =>
      family('counter', name, help, labelNames),
    /** One family a figure; keys of the metrics that are in no figure are left out. */
    figures(figures: Figure[], ...labelNames: string[]) {
      const adders = figures.map(({ key, name, help, type, factor = 1 }) => ({
        key,
        factor,
        add: family(type, name, `${help}.`, labelNames),
      }));
      return (labels: Labels, metrics: Metrics | undefined): void => {
        if (!metrics) return;
        for (const { key, factor, add } of adders) {
          const value = metrics[key];
          if (typeof value === 'number' && Number.isFinite(value)) add(labels, value * factor);
        }
      };
    },
    /** One by one: the moves of a large pool run in the same process, and wait for no more than one family. */
    async write(): Promise<{ type: string; text: string }> {
      const texts: string[] = [];
      for (const one of all) {
        texts.push(await textOf(one));
        await pause();
      }
      return { type: new Registry().contentType, text: texts.join('\n') };
    },
  };
}
export type Families = ReturnType<typeof openFamilies>;
