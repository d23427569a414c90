/**
 * `npm test`: everything that proves the project, in order of cost. Each step prints its time;
 * the end names what failed and what was left out and why.
 *
 *   npm test                    all steps
 *   npm test -- sftp recorder   only test files whose path contains one of the words
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ensurePackages } from './support/packages.ts';

const ROOT = join(import.meta.dirname, '..');
const words = process.argv.slice(2);

// Gateways and commands are started hundreds of times: compiled code that is kept halves what a start takes.
process.env['NODE_COMPILE_CACHE'] ??= join(ROOT, 'node_modules/.cache/sallyport-tests');

/** How long one test file may take: several times what the longest needs on two busy cores. */
const FILE_LIMIT_MS = 300_000;

interface Step {
  readonly name: string;
  readonly seconds: number;
  /** What went wrong, one line each; empty: passed. */
  readonly problems: readonly string[];
  /** Counts of the test runner's closing lines. */
  readonly counts?: Readonly<Record<string, number>>;
  readonly leftOut?: readonly string[];
}
const steps: Step[] = [];
/** Told to end: the running step is ended, the others are not begun. */
let interrupted = false;

async function step(name: string, work: () => Promise<Omit<Step, 'name' | 'seconds'>>): Promise<void> {
  if (interrupted) return;
  process.stdout.write(`\n=== ${name}\n`);
  const started = performance.now();
  const done = { name, ...(await work()), seconds: (performance.now() - started) / 1000 };
  steps.push(done);
  const verdict = done.problems.length === 0 ? 'ok' : 'FAILED';
  process.stdout.write(`=== ${name}: ${verdict} in ${done.seconds.toFixed(1)} s\n`);
}

/** Runs a program of the checkout with its output shown; `line` sees each line of it. */
function show(
  command: string,
  args: readonly string[],
  line: (text: string) => void = () => {},
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    const pass = (signal: NodeJS.Signals): void => {
      interrupted = true;
      child.kill(signal);
    };
    // A test run that is ended takes its servers along.
    process.once('SIGTERM', pass).once('SIGINT', pass);
    createInterface({ input: child.stdout }).on('line', (text) => {
      process.stdout.write(`${text}\n`);
      line(text);
    });
    child.on('error', () => resolve(127));
    child.on('close', (code) => {
      process.off('SIGTERM', pass).off('SIGINT', pass);
      resolve(code ?? 1);
    });
  });
}

async function check(command: string, ...args: string[]): Promise<Omit<Step, 'name' | 'seconds'>> {
  const code = await show(join(ROOT, 'node_modules/.bin', command), args);
  return { problems: code === 0 ? [] : [`${command} ${args.join(' ')} ended with ${code}`] };
}

/** Runs the test files of some folders in node's test runner, `concurrency` files at a time. */
async function tests(
  folders: readonly string[],
  concurrency: number,
): Promise<Omit<Step, 'name' | 'seconds'>> {
  const files = folders
    .flatMap((folder) => globSync(`test/${folder}/**/*.test.ts`, { cwd: ROOT }))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort();
  if (files.length === 0)
    return { problems: words.length === 0 ? [`no tests in ${folders.join(', ')}`] : [] };
  const counts: Record<string, number> = {};
  const problems: string[] = [];
  const leftOut: string[] = [];
  let listing = false;
  const runner = ['--test', '--test-reporter=spec', `--test-concurrency=${concurrency}`];
  // A test that waits for ever fails by its name instead of holding up all others.
  runner.push(`--test-timeout=${FILE_LIMIT_MS}`);
  const code = await show(process.execPath, [...runner, ...files], (text) => {
    const count = /^ℹ (\w+) (\d+)/.exec(text);
    if (count?.[1] !== undefined) counts[count[1]] = Number(count[2]);
    const skipped = /^\s*﹣ (.*?) \([\d.]+ms\) # (.*)$/.exec(text);
    if (skipped !== null) leftOut.push(`${skipped[1]}: ${skipped[2]}`);
    if (text.includes('failing tests:')) listing = true;
    const failed = /^✖ (.*) \([\d.]+ms\)$/.exec(text);
    if (listing && failed?.[1] !== undefined) problems.push(failed[1]);
  });
  if (code !== 0 && problems.length === 0) problems.push(`the test runner ended with ${code}`);
  return { problems: [...new Set(problems)], counts, leftOut };
}

await step('packages of the real clients and servers', async () => {
  const missing = await ensurePackages();
  process.stdout.write(missing.length === 0 ? 'all there\n' : `missing: ${missing.join(' ')}\n`);
  // What is missing costs its tests alone; they say so below.
  return { problems: [] };
});
if (words.length === 0) {
  await step('types', () => check('tsc', '-b'));
  await step('lint and format', () => check('biome', 'check', '.'));
}
await step('unit, fuzz and protocol tests', () => tests(['unit', 'fuzz', 'protocol'], 2));
// Two at a time on two cores: each file runs a gateway, a target and its clients of its own.
await step('integration and end-to-end tests', () => tests(['integration', 'e2e'], 2));

process.stdout.write('\n=== summary\n');
const total = (name: string): number => steps.reduce((sum, each) => sum + (each.counts?.[name] ?? 0), 0);
for (const each of steps)
  process.stdout.write(
    `${each.problems.length === 0 ? 'ok    ' : 'FAILED'} ${each.name} (${each.seconds.toFixed(1)} s)\n`,
  );
for (const each of steps) for (const problem of each.problems) process.stdout.write(`failed: ${problem}\n`);
for (const each of steps) for (const left of each.leftOut ?? []) process.stdout.write(`left out: ${left}\n`);
process.stdout.write(
  `${total('tests')} tests: ${total('pass')} passed, ${total('fail')} failed, ${total('cancelled')} cancelled, ${total('skipped')} left out\n`,
);
if (words.length > 0 && total('tests') === 0) {
  process.stdout.write(`no test file's path contains ${words.join(' or ')}\n`);
  process.exitCode = 1;
}
if (interrupted || steps.some((each) => each.problems.length > 0)) process.exitCode = 1;
