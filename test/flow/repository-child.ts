// repository-child.ts DIRECTORY COMMAND ARGS: carries one command of a repository out, as the master's process does, to be killed in it.
import { join } from 'node:path';
import { loadSettings } from '../../config/settings.ts';
import { repositoryOf } from '../../services/repository/place.ts';
import { treeKind } from '../../services/repository/tree-kind.ts';
import type { Context } from '../../shared/service.ts';

const [directory = '', command = '', args = '{}'] = process.argv.slice(2);
const env = {
  VS_CONFIG_DIR: join(directory, 'etc'),
  VS_STATE_DIR: join(directory, 'state'),
  VS_BACKUP_DIR: join(directory, 'backups'),
};
const settings = loadSettings({ file: '/nonexistent', env });
const context = { host: 'master', settings } as Context;
const { handlers } = treeKind(context, (name) => repositoryOf(settings, name));
const asked = handlers as Record<string, (args: object, call: object) => Promise<object>>;
console.log(JSON.stringify(await asked[command]?.(JSON.parse(args) as object, {})));
