import { readdirSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';

/**
 * Loads every module of the project once, so that NODE_COMPILE_CACHE has them all: taking the types out of TypeScript is what an
 * emulated processor is slowest at. Usage: compile-all.ts ROOT
 */
const [root = '/usr/lib/vs-tools'] = process.argv.slice(2);
const folders = ['cli', 'services', 'shared', 'broker', 'config'];
/** These do something when they are loaded. */
const programs = new Set(['cli/main.ts']);
for (const folder of folders)
  for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name);
    if (!path.endsWith('.ts') || programs.has(path)) continue;
    try {
      await import(join(root, path));
    } catch (error) {
      console.error(`${path}: ${(error as Error).message}`);
    }
  }
flushCompileCache();
process.exit(0);
