import { flushCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { agentFlags } from '../../shared/agent-flags.ts';
import { VsError } from '../../shared/errors.ts';
import { type Notify, openNotify } from '../../shared/notify.ts';
import { untilEnded } from '../../shared/until-ended.ts';

/** By then all that it needs was loaded. */
const COMPILED_MS = 10_000;

async function broker(notify: Notify): Promise<void> {
  // before it listens: who ends it just after must not cut off what goes to the disk
  const asked = untilEnded();
  const { loadSettings } = await import('../../config/settings.ts');
  const { runBroker } = await import('../../broker/main.ts');
  const { openData } = await import('../../shared/service.ts');
  const { createLog } = await import('../../shared/log.ts');
  const settings = loadSettings();
  await openData(settings, createLog(settings.LOG_LEVEL, 'broker'));
  const running = await runBroker(settings);
  notify.ready('broker');
  await asked;
  notify.stopping();
  await running.close();
}

/** `vs service NAME...`: what the units start. */
export function register(program: Command): void {
  program
    .command('service')
    .description('run services in this process until SIGTERM (the units call this)')
    .argument('<name...>', 'services of a host, services of the master, or broker alone')
    .addHelpText(
      'after',
      '\nExamples:\n  vs service host-agent network snapshot transfer firewall monitor doctor packages repository-host\n  vs service orchestrator repository networks template authority exporter discovery history backup-scheduler alerter master-doctor\n  vs service broker',
    )
    .action(async (names: string[]) => {
      const notify = openNotify(); // before anything else is started
      const { writeNoCore } = await import('../../shared/core-files.ts');
      await writeNoCore().catch((error: unknown) =>
        console.error(
          `vs: a crash of this process may leave a core file with secrets: ${(error as Error).message}`,
        ),
      );
      if (names.includes('broker')) {
        if (names.length > 1)
          throw new VsError('usage', 'The broker runs in a process of its own: vs service broker');
        return broker(notify);
      }
      if (names.includes('host-agent')) for (const flag of agentFlags) setFlagsFromString(flag); // who starts it otherwise
      // the next start is fast and small also when this process is killed
      setTimeout(() => flushCompileCache(), COMPILED_MS).unref();
      const { loadSettings } = await import('../../config/settings.ts');
      const { runServices } = await import('../../shared/service.ts');
      await runServices(names, loadSettings(), notify);
    });
}
