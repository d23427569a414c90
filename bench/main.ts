/** `npm run bench -- NAME`: measures, prints, and with `--save` keeps the figures in RESULTS.md. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { archiveBenchmark } from './archive.ts';
import { capacityBenchmark } from './capacity.ts';
import { goalLine } from './figures/goals.ts';
import { withSection } from './figures/results-file.ts';
import { watchSteal } from './machine.ts';
import { positive } from './numbers.ts';
import { rdpBenchmark } from './rdp.ts';
import { type Benchmark, makeReport, reportText } from './report.ts';
import { sshBenchmark } from './ssh.ts';

const BENCHMARKS: readonly Benchmark[] = [sshBenchmark, rdpBenchmark, archiveBenchmark, capacityBenchmark];
const RESULTS = join(import.meta.dirname, 'RESULTS.md');
const RESULTS_HEAD =
  '# Measured\n\nRewritten by `npm run bench -- NAME --save`. Ratios carry over to other machines, absolutes do not.\n';

interface Flags {
  readonly json?: boolean;
  readonly save?: boolean;
  readonly quick?: boolean;
  readonly rounds?: number;
  readonly mib?: number;
  readonly only?: readonly string[];
}

function odd(text: string): number {
  const value = positive(text);
  if (value % 2 === 0) throw new InvalidArgumentError('wants an odd number, so that the median is a round');
  return value;
}

async function measure(benchmark: Benchmark, flags: Flags): Promise<void> {
  const started = performance.now();
  const seconds = (): string => ((performance.now() - started) / 1000).toFixed(0).padStart(4);
  const stolen = watchSteal();
  const outcome = await benchmark.run({
    rounds: flags.rounds ?? (flags.quick === true ? 1 : 5),
    quick: flags.quick === true,
    mib: flags.mib,
    only: flags.only ?? [],
    own: { ...flags },
    progress: (line) => process.stderr.write(`${seconds()} s  ${line}\n`),
  });
  const report = makeReport(benchmark.name, outcome, stolen());
  const text = reportText(report, outcome);
  process.stdout.write(flags.json === true ? `${JSON.stringify(report, undefined, 2)}\n` : `\n${text}`);
  process.stderr.write(`${seconds()} s  ${goalLine(outcome.goals)}\n`);
  if (flags.save === true) {
    const name = outcome.variant === undefined ? benchmark.name : `${benchmark.name}, ${outcome.variant}`;
    const before = existsSync(RESULTS) ? readFileSync(RESULTS, 'utf8') : RESULTS_HEAD;
    writeFileSync(RESULTS, withSection(before, name, text));
  }
}

const ROUNDS_AND_SIZES = [
  new Option(
    '--rounds <n>',
    'rounds of which the median counts, an odd number (default: 5, quick: 1)',
  ).argParser(odd),
  new Option('--mib <n>', 'size of one bulk transfer in MiB (default: 512, quick: 64)').argParser(positive),
];

const program = new Command('bench').description('Measures Sallyport beside its baselines on this machine.');
for (const benchmark of BENCHMARKS) {
  const command = program
    .command(benchmark.name)
    .description(benchmark.summary)
    .option('--json', 'print the figures as JSON instead of tables')
    .option('--save', 'rewrite the section of this benchmark in bench/RESULTS.md')
    .option('--quick', 'a smoke test: everything once and small')
    .addOption(
      new Option('--only <parts...>', 'run these parts alone').choices(benchmark.parts).conflicts('save'),
    )
    .action((flags: Flags) => measure(benchmark, flags));
  for (const option of benchmark.options ?? ROUNDS_AND_SIZES) command.addOption(option);
}
await program.parseAsync();
