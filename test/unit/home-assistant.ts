import { z } from 'zod';
import { matches } from '../../shared/contract/topics.ts';

// Of https://www.home-assistant.io/integrations/mqtt/ (discovery, availability, device, origin), sensor.mqtt and
// binary_sensor.mqtt: the keys that are documented, and what may stand in them. Home Assistant refuses other keys.

const topic = z.string().regex(/^[^+#\0]+$/, 'a topic without wildcards'); // it takes filters; ours are none
const template = z.string().regex(/^\{\{.*\}\}$/);
const shared = {
  name: z.string().min(1),
  unique_id: z.string().regex(/^[\w-]+$/),
  state_topic: topic,
  value_template: template,
  qos: z.literal([0, 1, 2]).optional(),
  expire_after: z.int().positive().optional(),
  entity_category: z.enum(['diagnostic']).optional(), // 'config' is not for what only reads
  availability: z
    .array(
      z.strictObject({
        topic,
        value_template: template.optional(),
        payload_available: z.string().default('online'),
        payload_not_available: z.string().default('offline'),
      }),
    )
    .optional(),
  device: z.strictObject({
    identifiers: z.array(z.string().min(1)).min(1),
    name: z.string().min(1),
    manufacturer: z.string(),
    model: z.string(),
    sw_version: z.string().optional(),
    hw_version: z.string().optional(),
    via_device: z.string().optional(),
  }),
  origin: z.strictObject({
    name: z.string(),
    sw_version: z.string().optional(),
    support_url: z.url().optional(),
  }),
};
const dataUnits = ['bit', 'B', 'kB', 'MB', 'GB', 'TB', 'KiB', 'MiB', 'GiB', 'TiB'];

const sensor = z
  .strictObject({
    ...shared,
    device_class: z.enum(['data_size', 'enum', 'duration', 'data_rate', 'timestamp']).optional(),
    state_class: z.enum(['measurement', 'total', 'total_increasing']).optional(),
    unit_of_measurement: z.string().optional(),
    suggested_unit_of_measurement: z.string().optional(),
    suggested_display_precision: z.int().min(0).optional(),
    options: z.array(z.string()).min(1).optional(),
  })
  .superRefine((one, context) => {
    const wrong = (message: string): void => context.addIssue({ code: 'custom', message });
    if ((one.device_class === 'enum') !== (one.options !== undefined)) wrong('options and enum go together');
    if (one.options && (one.state_class ?? one.unit_of_measurement))
      wrong('an enum has no state_class and no unit');
    if (one.device_class === 'data_size' && !dataUnits.includes(one.unit_of_measurement ?? ''))
      wrong('data_size has no such unit');
    if (one.suggested_unit_of_measurement && !dataUnits.includes(one.suggested_unit_of_measurement))
      wrong('data_size cannot be shown in that unit');
  });
const binarySensor = z.strictObject({
  ...shared,
  device_class: z.enum(['connectivity', 'running', 'problem']).optional(),
  payload_on: z.string().default('ON'),
  payload_off: z.string().default('OFF'),
});
const components: Record<string, z.ZodType> = { sensor, binary_sensor: binarySensor };

/** What Home Assistant would not take in a configuration, by its documentation. */
export function faultsOf(where: string, payload: unknown): string[] {
  const [, component = '', node = '', object = '', last] = where.split('/');
  if (!matches('+/+/+/+/config', where) || last !== 'config') return ['no discovery topic'];
  if (![node, object].every((level) => /^[a-zA-Z0-9_-]+$/.test(level))) return ['a level has other letters'];
  const schema = components[component];
  if (!schema) return [`no component ${component}`];
  return (schema.safeParse(payload).error?.issues ?? []).map(
    (one) => `${one.path.join('.')}: ${one.message}`,
  );
}
