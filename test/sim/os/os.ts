// node:os, as the simulated processes see it
export const cpus = (): object[] => [{}, {}];
export const freemem = (): number => 8e9;
export const totalmem = (): number => 16e9;
export const release = (): string => '6.12';
export const hostname = (): string => 'host';
export const networkInterfaces = (): object => ({});
export const tmpdir = (): string => '/tmp';
/** Of all machines the same: nobody compares it with anything there. */
export const uptime = (): number => Date.now() / 1000;
