import { type RequestListener, type Server, createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { same } from '../../shared/same.ts';

export interface Page {
  /** What the page holds now. */
  render(): Promise<{ type: string; text: string }>;
  /** The bearer token that is asked for; read at each request, so that a new one counts at once. */
  token?(): string;
  /** Certificate and key (PEM); without them it is plain HTTP. */
  tls?: { cert: Buffer; key: Buffer };
  onFault(error: unknown): void;
}

/** One page at /metrics, to be read only. Scrapes that come at the same time get the same text. */
export function createPage(page: Page): Server {
  let rendering: Promise<{ type: string; text: string }> | undefined;
  const text = () =>
    (rendering ??= page.render().finally(() => {
      rendering = undefined;
    }));

  const listener: RequestListener = (request, response) => {
    const refuse = (status: number, sentence: string, headers = {}): void =>
      void response
        .writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close', ...headers })
        .end(`${sentence}\n`);
    const fail = (error: unknown): void => {
      page.onFault(error);
      if (!response.headersSent)
        refuse(500, 'The metrics cannot be shown now; the log of the master says why.');
    };
    try {
      const token = page.token?.();
      if (token !== undefined && !same(request.headers.authorization ?? '', `Bearer ${token}`))
        return refuse(401, 'A bearer token is needed.', { 'www-authenticate': 'Bearer realm="vs-tools"' });
      if (request.url?.split('?')[0] !== '/metrics') return refuse(404, 'The metrics are at /metrics.');
      if (request.method !== 'GET' && request.method !== 'HEAD')
        return refuse(405, 'The metrics can only be read.', { allow: 'GET, HEAD' });
    } catch (error) {
      return fail(error);
    }
    text().then(({ type, text: body }) => {
      response.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
      response.end(request.method === 'HEAD' ? undefined : body);
    }, fail);
  };
  const options = {
    headersTimeout: 5000,
    requestTimeout: 10_000,
    keepAliveTimeout: 120_000, // longer than most scrape intervals
    connectionsCheckingInterval: 2000,
    maxHeaderSize: 8192,
    noDelay: true,
  };
  const server = page.tls
    ? createTlsServer({ ...options, ...page.tls, minVersion: 'TLSv1.2', handshakeTimeout: 5000 }, listener)
    : createServer(options, listener);
  server.maxConnections = 50;
  server.setTimeout(130_000); // who reads nothing, and who says nothing
  return server;
}
