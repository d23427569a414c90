/** A real Prometheus that scrapes a gateway. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort, startDaemon, until } from './process.ts';
import { temporaryFolder } from './temp.ts';

export interface Rule {
  readonly name: string;
  readonly health: string;
  readonly lastError?: string;
  readonly state: string;
}

export interface Prometheus {
  /** The instant value of an expression, now: one entry a series; fails when Prometheus cannot evaluate it. */
  query(expression: string): Promise<readonly { readonly metric: Readonly<Record<string, string>> }[]>;
  /** Its alert rules, once all of them were evaluated. */
  rules(): Promise<readonly Rule[]>;
  stop(): Promise<unknown>;
}

/** @param port of the gateway's health listener */
export async function startPrometheus(port: number, ruleFile: string): Promise<Prometheus> {
  const folder = temporaryFolder('prometheus');
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [ruleFile],
    scrape_configs: [{ job_name: 'sallyport', static_configs: [{ targets: [`127.0.0.1:${port}`] }] }],
  };
  writeFileSync(join(folder, 'prometheus.yml'), stringify(config));
  const own = await freePort();
  const daemon = startDaemon('/usr/bin/prometheus', [
    `--config.file=${join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${own}`,
  ]);
  const ask = async (path: string): Promise<{ status: string; error?: string; data: unknown }> =>
    (await (await fetch(`http://127.0.0.1:${own}${path}`)).json()) as never;
  await until('prometheus serves', async () =>
    (await fetch(`http://127.0.0.1:${own}/-/ready`).catch(() => undefined))?.ok ? true : undefined,
  );
  return {
    async query(expression) {
      const { status, error, data } = await ask(`/api/v1/query?query=${encodeURIComponent(expression)}`);
      assert.equal(status, 'success', `${error}: ${expression}`);
      return (data as { result: { metric: Record<string, string> }[] }).result;
    },
    rules: () =>
      until('all rules are evaluated', async () => {
        const { data } = await ask('/api/v1/rules?type=alert');
        const rules = (data as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);
        return rules.length > 0 && rules.every(({ health }) => health !== 'unknown') ? rules : undefined;
      }),
    stop: () => daemon.stop(),
  };
}
