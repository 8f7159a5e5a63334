// shared/seal.ts, as the simulated processes see it: nobody listens here
export const sealKey = (): string => 'key';
export const seal = (secret: string): string => secret;
export const unseal = (_settings: object, sealed: string): string => sealed;
