// node:timers/promises, as the simulated processes see it
export { pause as setTimeout } from './globals.ts';
