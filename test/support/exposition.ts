/** Prometheus' text format (0.0.4), read back. */
import assert from 'node:assert/strict';
import type { Gateway } from './gateway.ts';

export interface Exposed {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly {
    /** With the suffix that samples of histograms have. */
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
}

/** What a gateway answers Prometheus. */
export async function scrape({ healthPort }: Gateway): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${healthPort}/metrics`);
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  return await answer.text();
}

/** Metrics by their names. */
export function readExposition(text: string): Map<string, Exposed> {
  const metrics = new Map<string, { type: string; help: string; samples: Exposed['samples'][number][] }>();
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    const [, what, metric = '', rest = ''] = comment ?? [];
    if (what === 'HELP') metrics.set(metric, { type: '', help: rest, samples: [] });
    else if (what === 'TYPE') Object.assign(metrics.get(metric) ?? assert.fail(line), { type: rest });
    if (comment !== null) continue;
    const [, name = '', labels = '', value = ''] =
      /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? assert.fail(`no sample: ${line}`);
    const owner = metrics.get(name) ?? metrics.get(name.replace(/_(bucket|sum|count)$/, ''));
    (owner ?? assert.fail(`nothing says what ${name} is`)).samples.push({
      name,
      labels: Object.fromEntries(
        [...labels.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [label, text]),
      ),
      value: Number(value),
    });
  }
  return metrics;
}

/** The value of the one sample that has these labels, and perhaps others. */
export function sampleOf(
  metrics: Map<string, Exposed>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const metric = metrics.get(name) ?? metrics.get(name.replace(/_(bucket|sum|count)$/, ''));
  const found = (metric?.samples ?? []).filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  assert.equal(found.length, 1, `${found.length} samples of ${name} ${JSON.stringify(labels)}`);
  return found[0]?.value ?? assert.fail();
}

/** A row of a table for each metric, as docs/metrics.md has them. */
export function asTable(metrics: Map<string, Exposed>): string[] {
  return [...metrics].map(([name, { type, help, samples }]) => {
    const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels)));
    labels.delete('le');
    const shown = [...labels].map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${shown} | ${help} |`;
  });
}

/** Whatever is counted, nothing of it is less than it was. */
export function assertNoneFell(before: Map<string, Exposed>, after: Map<string, Exposed>): void {
  for (const [metric, { type, samples }] of before)
    for (const { name, labels, value } of type === 'gauge' ? [] : samples) {
      const same = after
        .get(metric)
        ?.samples.find(
          (sample) => sample.name === name && JSON.stringify(sample.labels) === JSON.stringify(labels),
        );
      assert.ok(
        (same?.value ?? -1) >= value,
        `${name} ${JSON.stringify(labels)}: ${value}, then ${same?.value}`,
      );
    }
}
