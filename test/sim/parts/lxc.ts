// services/host-agent/lxc.ts, as the simulated processes see it
import type { Lxc } from '../../../services/host-agent/lxc.ts';
import { RunError } from '../../../shared/run.ts';
import { asyncCall, later, theWorld } from '../current.ts';
import { TRIALS } from '../guests.ts';
import type { Machine } from '../world.ts';

const START_MS = 80;
const STOP_MS = 300;
/** The monitor clears away what the guest had. */
const CLEAR_MS = 150;

/** Of backups that are tried. */
const ofTrials: Lxc = {
  version: () => Promise.reject(new Error('it is asked of vservers only')),
  alive: () => asyncCall('read', ({ node }) => new Set((node as Machine).trials.keys())),
  info: (name) =>
    asyncCall('lxc-info', ({ node }) => {
      const one = (node as Machine).trials.get(name);
      return { state: !one ? 'stopped' : one.ended ? 'stopping' : 'running', pid: one?.pid };
    }),
  start: (name) =>
    later('lxc-start', theWorld().random.between(20, START_MS), ({ node }) => {
      const reason = theWorld().guests.startTrial(node, name);
      if (reason) throw new RunError(['lxc-start'], 1, reason, `${name} did not start: ${reason}`);
    }),
  stop: (name) => later('lxc-stop', 10, ({ node }) => theWorld().guests.endTrial(node, name)),
  attach: () => [],
};

export function lxcDriver(directory: string): Lxc {
  if (directory === TRIALS) return ofTrials;
  return {
    version: () => asyncCall('lxc-start', () => '5.0.2'),
    alive: () => asyncCall('read', ({ node }) => new Set(theWorld().guests.containers(node).keys())),
    info: (name) =>
      asyncCall('lxc-info', ({ node }) => {
        const one = theWorld().guests.containers(node).get(name);
        const state = !one ? 'stopped' : one.ended ? 'stopping' : one.frozen ? 'frozen' : 'running';
        return { state, pid: one?.pid };
      }),
    start: (name) =>
      later('lxc-start', theWorld().random.between(20, START_MS), ({ node }) => {
        const reason = theWorld().guests.start(node, name);
        if (reason) throw new RunError(['lxc-start'], 1, reason, `${name} did not start: ${reason}`);
      }),
    async stop(name, seconds) {
      const { random } = theWorld();
      const clearMs = random.between(5, CLEAR_MS);
      await later('lxc-stop', seconds > 0 ? random.between(50, STOP_MS) : 10, ({ node }) =>
        theWorld().guests.terminate(node, name, clearMs),
      );
      await later('lxc-stop', clearMs + 1, () => undefined);
    },
    attach: () => [],
  };
}
