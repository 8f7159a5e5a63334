import { X509Certificate, constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Server, type TlsOptions, createSecureContext } from 'node:tls';
import type { Settings } from '../config/settings.ts';
import { VsError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import { fileMark } from '../shared/store.ts';

const DAY = 86_400_000;
/** TLS 1.3, and of TLS 1.2 what has forward secrecy and authenticates what it encrypts. */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  ...['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'].flatMap((one) => [
    `ECDHE-ECDSA-${one}`,
    `ECDHE-RSA-${one}`,
  ]),
].join(':');

type Files = Pick<
  Settings,
  'BROKER_TLS_CERT' | 'BROKER_TLS_KEY' | 'BROKER_TLS_CA' | 'BROKER_TLS_RELOAD_SECONDS'
>;
const keys = ['BROKER_TLS_CERT', 'BROKER_TLS_KEY', 'BROKER_TLS_CA'] as const;

/** The certificate, key and authority of the TLS listeners; read again when they change on the disk. */
export function openTlsFiles(settings: Files, log: Log) {
  const servers: Server[] = [];
  const usage = (message: string, cause?: unknown) => new VsError('usage', message, { cause });

  function read(key: (typeof keys)[number]): Buffer {
    try {
      return readFileSync(settings[key]);
    } catch (error) {
      throw usage(`the file ${settings[key]} (${key}) cannot be read: ${(error as Error).message}`, error);
    }
  }
  function load(): TlsOptions {
    if (!settings.BROKER_TLS_CERT || !settings.BROKER_TLS_KEY)
      throw usage('BROKER_TLS_LISTEN and BROKER_WS_LISTEN need BROKER_TLS_CERT and BROKER_TLS_KEY');
    const options: TlsOptions = {
      cert: read('BROKER_TLS_CERT'),
      key: read('BROKER_TLS_KEY'),
      ...(settings.BROKER_TLS_CA ? { ca: read('BROKER_TLS_CA') } : {}),
      minVersion: 'TLSv1.2',
      ciphers,
      honorCipherOrder: true,
      // A resumed session is not verified again: it would outlive its certificate and its authority.
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    };
    try {
      createSecureContext(options);
      warnOfEnd(new X509Certificate(options.cert as Buffer));
    } catch (error) {
      const files = keys.map((key) => settings[key]).filter(Boolean);
      throw usage(`${files.join(', ')} cannot be used for TLS: ${(error as Error).message}`, error);
    }
    return options;
  }
  function warnOfEnd(certificate: X509Certificate): void {
    const left = certificate.validToDate.getTime() - Date.now();
    if (left > 14 * DAY) return;
    const about = { file: settings.BROKER_TLS_CERT, end: certificate.validTo };
    log.warn(about, left > 0 ? "the broker's certificate ends soon" : "the broker's certificate has expired");
  }
  function mark(): string {
    return keys.map((key) => (settings[key] ? fileMark(settings[key]) : 'none')).join(' ');
  }

  let before = mark();
  const options = load();
  /** New connections get what stands on the disk now; what cannot be used changes nothing. */
  function renew(): void {
    try {
      const now = mark();
      if (now === before) return;
      before = now;
      const fresh = load();
      for (const server of servers) server.setSecureContext(fresh);
      log.info({ files: keys.map((key) => settings[key]).filter(Boolean) }, 'certificates renewed');
    } catch (error) {
      log.error({ err: error }, 'the new certificates are not taken, the old ones stay in use');
    }
  }
  const timer = setInterval(renew, settings.BROKER_TLS_RELOAD_SECONDS * 1000).unref();
  return {
    /** For a server: a client may show a certificate; broker/certificates.ts decides what it is worth. */
    options: {
      ...options,
      requestCert: settings.BROKER_TLS_CA !== '',
      rejectUnauthorized: false,
      handshakeTimeout: 10_000,
    } satisfies TlsOptions,
    follow: (server: Server): void => void servers.push(server),
    close: () => clearInterval(timer),
  };
}
export type TlsFiles = ReturnType<typeof openTlsFiles>;
