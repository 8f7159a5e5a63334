import { run } from '../../../shared/run.ts';
import { isAtWork, isSystemd, units } from './facts.ts';

/** dpkg that takes longer is ended (s): before the version of before comes back by itself. */
const MOST_SECONDS = 600;

/** Settings that a person changed stay, and nobody is asked: there is nobody. */
const dpkg = (path: string): string[] => ['dpkg', '--force-confdef', '--force-confold', '--install', path];
const common = (unit: string, log: string): string[] => [
  'systemd-run',
  `--unit=${unit}`,
  '--collect',
  '--quiet',
  `--property=RuntimeMaxSec=${MOST_SECONDS}`,
  `--property=StandardOutput=append:${log}`,
  `--property=StandardError=append:${log}`,
  '--setenv=DEBIAN_FRONTEND=noninteractive',
  '--setenv=LC_ALL=C',
];

/** Begins to install, in a unit of its own: it goes on while the package restarts the agent. */
export const installUnit = (path: string, log: string): string[] => [
  ...common(units.update, log),
  '--',
  ...dpkg(path),
];
/** Lets a package be installed later, unless it is called off: also when the new agent never comes up to be asked. */
export const backTimer = (path: string, log: string, seconds: number): string[] => [
  ...common(units.back, log),
  // somebody else's dpkg or apt may be at work just then
  '--property=Restart=on-failure',
  '--property=RestartSec=30',
  '--property=StartLimitIntervalSec=3600',
  '--property=StartLimitBurst=20',
  `--on-active=${seconds}`,
  '--timer-property=AccuracySec=1s',
  '--',
  ...dpkg(path),
];

/** Nothing comes back by itself any more. */
export async function callOff(): Promise<void> {
  if (isSystemd()) await run(['systemctl', 'stop', `${units.back}.timer`], { okCodes: [0, 5] }); // 5: there is none
}

/** Waits until no unit installs. Throws when that takes too long. */
export async function settled(signal: AbortSignal, ms = MOST_SECONDS * 1000 + 60_000): Promise<void> {
  const end = performance.now() + ms;
  while (await isAtWork()) {
    signal.throwIfAborted();
    if (performance.now() > end) throw new Error('an installation of vs-tools has not ended');
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
