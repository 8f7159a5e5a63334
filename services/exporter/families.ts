import { Counter, Gauge, type Registry } from 'prom-client';
import type { Metrics } from '../../shared/contract/host.ts';
import type { Figure } from './figures.ts';

export type Labels = Record<string, string>;

/** Makes families of series in a registry; each answers a function that adds a series. */
export function familiesOf(registry: Registry) {
  function gauge(name: string, help: string, ...labelNames: string[]) {
    const one = new Gauge({ name, help, labelNames, registers: [registry] });
    return (labels: Labels, value: number | boolean) => one.set(labels, Number(value));
  }
  function counter(name: string, help: string, ...labelNames: string[]) {
    const one = new Counter({ name, help, labelNames, registers: [registry] });
    return (labels: Labels, value: number) => void (value >= 0 && one.inc(labels, value));
  }
  return {
    gauge,
    /** One family a figure; keys of the metrics that are in no figure are left out. */
    figures(figures: Figure[], ...labelNames: string[]) {
      const all = figures.map(({ key, name, help, type, factor = 1 }) => ({
        key,
        factor,
        add: (type === 'gauge' ? gauge : counter)(name, `${help}.`, ...labelNames),
      }));
      return (labels: Labels, metrics: Metrics | undefined): void => {
        if (!metrics) return;
        for (const { key, factor, add } of all) {
          const value = metrics[key];
          if (typeof value === 'number' && Number.isFinite(value)) add(labels, value * factor);
        }
      };
    },
  };
}
export type Families = ReturnType<typeof familiesOf>;
