import { topicsFor } from '../../shared/contract/topics.ts';
import { runState, type VserverState } from '../../shared/contract/vserver.ts';

/** What is told of the pool. */
export interface Pool {
  base: string;
  version: string;
  /** Seconds after which a figure that does not come again is none. */
  expire: number;
  hosts: { name: string; version?: string | undefined; kernel?: string | undefined }[];
  /** Each once: as its owner has it. */
  vservers: VserverState[];
}
type Entity = Record<string, unknown> & { name: string };
interface Parts {
  sensor: Record<string, Entity>;
  binary_sensor: Record<string, Entity>;
}

const value = (key: string) => `{{ value_json.${key} }}`;
/** An empty message (gone) has no value_json: the state stays as it was. */
const keeping = (key: string) => `{{ value_json.${key} if value_json is defined else this.state }}`;
const bytes = { device_class: 'data_size', unit_of_measurement: 'B', suggested_unit_of_measurement: 'GiB' };
const percent = { unit_of_measurement: '%', suggested_display_precision: 1 };

/** The beginning of every id of a pool; pools of one broker differ in their base. */
export const idOf = (base: string): string => base.replaceAll('/', '_');

/** A figure of `.../metrics`: of now, and none when it does not come again. */
const figure = (topic: string, expire: number) => (key: string, name: string, more: object) => ({
  name,
  state_topic: topic,
  value_template: value(key),
  state_class: 'measurement',
  expire_after: expire,
  ...more,
});

function partsOfHost(pool: Pool, host: string): Parts {
  const topics = topicsFor(pool.base);
  const of = figure(topics.hostMetrics(host), pool.expire);
  return {
    binary_sensor: {
      online: {
        name: 'Online',
        state_topic: topics.status(host),
        value_template: value('state'),
        payload_on: 'online',
        payload_off: 'offline',
        device_class: 'connectivity',
        entity_category: 'diagnostic',
        qos: 1,
      },
    },
    sensor: {
      cpu: of('cpu_pct', 'CPU', percent),
      memory: of('mem_pct', 'Memory', percent),
      load: of('load_1', 'Load', { suggested_display_precision: 2 }),
      disk_free: of('disk_free_bytes', 'Free disk', bytes),
      vservers: of('vservers_running', 'Running vservers', {}),
    },
  };
}

function partsOfVserver(pool: Pool, { host, name }: VserverState): Parts {
  const topics = topicsFor(pool.base);
  const of = figure(topics.vserverMetrics(host, name), pool.expire);
  const state = { state_topic: topics.vserverState(host, name), qos: 1 };
  return {
    binary_sensor: {
      running: {
        name: 'Running',
        ...state,
        // an empty text is no news for a binary sensor
        value_template:
          "{{ ('ON' if value_json.state == 'running' else 'OFF') if value_json is defined else '' }}",
        payload_on: 'ON',
        payload_off: 'OFF',
        device_class: 'running',
      },
    },
    sensor: {
      state: {
        name: 'State',
        ...state,
        value_template: keeping('state'),
        device_class: 'enum',
        options: runState.options,
      },
      host: {
        name: 'Host',
        ...state,
        value_template: keeping('host'),
        entity_category: 'diagnostic',
      },
      cpu: of('cpu_pct', 'CPU', percent),
      memory: of('mem_bytes', 'Memory', { ...bytes, suggested_unit_of_measurement: 'MiB' }),
      processes: of('procs', 'Processes', {}),
      load: of('load_1', 'Load', { suggested_display_precision: 2 }),
      disk: of('disk_bytes', 'Disk', {
        ...bytes,
        value_template: "{{ value_json.disk_bytes if value_json.disk_bytes is defined else '' }}",
      }),
    },
  };
}

/**
 * Topic and payload of each configuration that Home Assistant takes (MQTT discovery, one a component). Ids hold no host of a
 * vserver: after a move the same entities have other topics.
 */
export function entitiesOf(prefix: string, pool: Pool): Map<string, object> {
  const topics = topicsFor(pool.base);
  const id = idOf(pool.base);
  const origin = { name: 'vs-tools', sw_version: pool.version };
  const all = new Map<string, object>();
  function add(node: string, host: string, parts: Parts, device: object): void {
    const availability = [{ topic: topics.status(host), value_template: value('state') }];
    for (const [component, entities] of Object.entries(parts) as [string, Record<string, Entity>][])
      for (const [key, entity] of Object.entries(entities))
        all.set(`${prefix}/${component}/${node}/${key}/config`, {
          unique_id: `${node}_${key}`,
          ...entity,
          ...(key === 'online' ? {} : { availability }),
          device: { identifiers: [node], manufacturer: 'vs-tools', ...device },
          origin,
        });
  }
  for (const { name, version, kernel } of pool.hosts)
    add(`${id}_host_${name}`, name, partsOfHost(pool, name), {
      name,
      model: 'host',
      ...(version ? { sw_version: version } : {}),
      ...(kernel ? { hw_version: `Linux ${kernel}` } : {}),
    });
  for (const one of pool.vservers)
    add(`${id}_vserver_${one.name}`, one.host, partsOfVserver(pool, one), {
      name: one.name,
      model: 'vserver',
      via_device: `${id}_host_${one.host}`,
    });
  return all;
}
