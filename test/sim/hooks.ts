import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { workerData } from 'node:worker_threads';
import { mutations } from './mutations.ts';

// Loaded before all else in a thread that simulates (--import): what the code of vs-tools imports from the machine is
// the simulated machine. The code itself is the one that production runs, but for a mutation that is asked for.

const root = new URL('../../', import.meta.url).href;
const here = new URL('./', import.meta.url).href;
const ours = ['services/', 'shared/', 'config/'].map((folder) => `${root}${folder}`);
const machine: Record<string, string> = {
  'node:fs': 'os/fs.ts',
  'node:fs/promises': 'os/fs-promises.ts',
  'node:timers/promises': 'os/timers-promises.ts',
  'node:crypto': 'os/crypto.ts',
  'node:os': 'os/os.ts',
  'node:path': 'os/path.ts',
};
const parts: Record<string, string> = {
  'shared/contract/topics.ts': 'parts/topics.ts',
  'shared/bus/connection.ts': 'parts/connection.ts',
  'shared/run.ts': 'parts/run.ts',
  'shared/json.ts': 'parts/json.ts',
  'shared/store.ts': 'parts/store.ts',
  'config/networks.ts': 'parts/networks.ts',
  'shared/seal.ts': 'parts/seal.ts',
  'services/host-agent/lxc.ts': 'parts/lxc.ts',
  'services/host-agent/busybox.ts': 'parts/busybox.ts',
  'services/host-agent/limits/limits.ts': 'parts/limits.ts',
  'services/snapshot/quota.ts': 'parts/quota.ts',
  'services/snapshot/btrfs-along.ts': 'parts/along.ts',
  'services/repository/manifest.ts': 'parts/manifest.ts',
  'services/host-agent/run-script.ts': 'parts/run-script.ts',
  'services/host-agent/certificate.ts': 'parts/certificate.ts',
  'services/host-agent/session/open.ts': 'parts/nothing.ts',
  'services/orchestrator/archive.ts': 'parts/archive.ts',
  'services/orchestrator/history.ts': 'parts/nothing.ts',
  'services/orchestrator/heard-audit.ts': 'parts/nothing.ts',
  'services/orchestrator/audit.ts': 'parts/nothing.ts',
};
const mutation = mutations.find((one) => one.name === (workerData as { mutation?: string } | null)?.mutation);

registerHooks({
  resolve(specifier, context, next) {
    const isOurs = ours.some((folder) => context.parentURL?.startsWith(folder));
    const part = machine[specifier];
    if (isOurs && part) return { url: `${here}${part}`, shortCircuit: true };
    const found = next(specifier, context);
    const other = isOurs && found.url.startsWith(root) ? parts[found.url.slice(root.length)] : undefined;
    return other ? { ...found, url: `${here}${other}` } : found;
  },
  load(url, context, next) {
    const edits = mutation?.edits.filter(({ file }) => url === `${root}${file}`) ?? [];
    if (edits.length === 0) return next(url, context);
    let source = readFileSync(new URL(url), 'utf8');
    for (const { file, from, to } of edits) {
      const mutant = source.replace(from, to);
      if (mutant === source)
        throw new Error(`${file} does not hold what the mutation ${mutation?.name} changes`);
      source = mutant;
    }
    return { format: 'module-typescript', source, shortCircuit: true };
  },
});
