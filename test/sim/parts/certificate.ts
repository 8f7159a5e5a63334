// services/host-agent/certificate.ts, as the simulated processes see it
export const shownCertificate = (): undefined => undefined;
export const ownCertificate = (): object => ({});
