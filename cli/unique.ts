/** Unique, no secret: node:crypto would cost the 70 ms in which OpenSSL starts. */
export const uniqueId = (): string =>
  `${Date.now().toString(36)}${process.pid.toString(36)}${Math.random().toString(36).slice(2, 12)}`;
