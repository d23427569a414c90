/** The command line: `sallyport COMMAND`. */
import './process-settings.ts';
import { Command, CommanderError } from 'commander';
import { ArchiveError, ContainerError, VideoError } from '../../recorder/index.ts';
import { VaultError } from '../../vault-client/index.ts';
import { documentJsonSchema } from '../apply/document.ts';
import { ConfigurationError, configJsonSchema } from '../config/config.ts';
import { LoginNameError } from '../policy/target-name.ts';
import { RetentionError } from '../retention/error.ts';
import { StoreError } from '../store/errors.ts';
import { VERSION } from '../version.ts';
import { addApply } from './apply.ts';
import { addAudit } from './audit.ts';
import { addCheck } from './check.ts';
import { addKeys } from './keys.ts';
import { addLaunch } from './launch.ts';
import { addNode } from './node.ts';
import { printJson, UsageError } from './output.ts';
import { addRecordings } from './recordings.ts';
import { addServe } from './serve.ts';
import { addSessions } from './sessions.ts';

const program = new Command('sallyport')
  .description(
    'Privileged session gateway: people log on with their own SSH or RDP client, reach systems with ' +
      'credentials they never see, and everything they do is recorded.',
  )
  .version(VERSION)
  .showHelpAfterError("(try 'sallyport --help', or --help after a command)")
  .configureHelp({ showGlobalOptions: true });

addServe(program);
addApply(program);
addCheck(program);
addLaunch(program);
addSessions(program);
addNode(program);
addRecordings(program);
addAudit(program);
addKeys(program);
program
  .command('schema')
  .description('print the JSON Schema of sallyport.yaml, for editors and as a list of all keys')
  .option('--apply', 'the one of the file that `apply` takes')
  .action(({ apply }: { apply?: true }) => printJson(apply ? documentJsonSchema() : configJsonSchema()));

/** Who read standard output has enough, as `head` does: that is no failure. */
let readerLeft = false;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  readerLeft = error.code === 'EPIPE';
  if (readerLeft) return;
  process.stderr.write(`sallyport: standard output: cannot be written (${error.code})\n`);
  process.exit(1);
});

try {
  await program.parseAsync();
} catch (error) {
  if (readerLeft && (error as NodeJS.ErrnoException).code === 'EPIPE') process.exitCode = 0;
  else if (error instanceof CommanderError) process.exitCode = error.exitCode;
  else {
    process.exitCode = 1;
    process.stderr.write(`sallyport: ${textOf(error)}\n`);
  }
}

/** Errors that say what is wrong and what to do speak for themselves; others show their stack. */
function textOf(error: unknown): string {
  const known = [
    ArchiveError,
    ConfigurationError,
    ContainerError,
    LoginNameError,
    RetentionError,
    StoreError,
    UsageError,
    VaultError,
    VideoError,
  ];
  if (known.some((type) => error instanceof type)) return (error as Error).message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
