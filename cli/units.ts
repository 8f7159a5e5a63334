import { existsSync } from 'node:fs';

const places = ['/etc/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system'];
const installed = (unit: string): boolean => places.some((place) => existsSync(`${place}/${unit}.service`));

/** How these services are started: by their units where they are installed, else by hand, a line each. */
export const startLines = (units: string[], byHand: string[], isThere = installed): string[] =>
  units.every((unit) => isThere(unit))
    ? [`systemctl enable --now ${units.join(' ')}`]
    : byHand.map((services) => `vs service ${services}`);
