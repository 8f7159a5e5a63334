import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { VsError } from '../../shared/errors.ts';

/** One command of QEMU's monitor (quit: a power cut; set_link: pulls a cable; system_reset), and its answer. */
export function qmp(socket: string, command: string, args: Record<string, unknown> = {}): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const client = connect(socket);
    client.setTimeout(10_000, () => client.destroy());
    client.once('error', reject);
    client.once('close', () =>
      command === 'quit' ? resolve({}) : reject(new VsError('failed', `QEMU did not answer ${command}`)),
    );
    const lines = createInterface({ input: client });
    lines.on('error', () => undefined); // it passes on those of the socket
    lines.on('line', (line) => {
      const said = JSON.parse(line) as {
        QMP?: unknown;
        return?: unknown;
        error?: { desc: string };
        id?: number;
      };
      if (said.QMP) client.write(`${JSON.stringify({ execute: 'qmp_capabilities', id: 0 })}\n`);
      else if (said.id === 0)
        client.write(`${JSON.stringify({ execute: command, arguments: args, id: 1 })}\n`);
      else if (said.id === 1) {
        if (said.error) reject(new VsError('failed', `QEMU refuses ${command}: ${said.error.desc}`));
        else resolve(said.return);
        client.end();
      }
    });
  });
}
