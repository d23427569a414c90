/** What `deploy/` holds is accepted by the programs that it is for, and fits the product's defaults. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseConfig } from '../../gateway/config/config.ts';
import { testWith } from '../support/packages.ts';
import { run, runOk } from '../support/process.ts';
import { temporaryFolder } from '../support/temp.ts';

const ROOT = join(import.meta.dirname, '../..');
const file = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const DEFAULTS = parseConfig('', '/etc/sallyport/sallyport.yaml');
/** `systemd-analyze security`: 10 is all open, 0 all closed; what needs the network stays above 1. */
const EXPOSURE = 1.3;

/** The unit in a folder of its own, pointed at this checkout. */
function unitHere(): string {
  const unit = join(temporaryFolder('unit'), 'sallyport.service');
  writeFileSync(unit, file('deploy/sallyport.service').replaceAll('/opt/sallyport', ROOT));
  return unit;
}

testWith(['systemd'], 'systemd takes the unit, and finds little that it leaves open', async () => {
  const unit = unitHere();
  const verified = await run('systemd-analyze', ['verify', '--man=no', '--recursive-errors=no', unit]);
  assert.deepEqual([verified.code, verified.stderr], [0, '']);
  const threshold = `--threshold=${EXPOSURE * 10}`;
  const rated = await run('systemd-analyze', ['security', '--offline=true', '--no-pager', threshold, unit]);
  assert.equal(rated.code, 0, rated.text);
  assert.match(rated.text, /Overall exposure level for sallyport\.service: [01]\.\d/);
});

test('systemd waits longer for the end of the node than its drain takes', () => {
  const seconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(file('deploy/sallyport.service'))?.[1]);
  const { archive, drain } = DEFAULTS;
  assert.ok(seconds > drain.seconds + drain.graceSeconds + archive.graceSeconds, String(seconds));
  // Docker waits as long, wherever it is shown how to start it.
  for (const path of ['deploy/Dockerfile', 'docs/operations.md'])
    assert.deepEqual(file(path).match(/--stop-timeout \d+/g), [`--stop-timeout ${seconds}`], path);
});

testWith(['haproxy'], 'HAProxy takes its file, and finds nothing to warn of', async () => {
  const checked = await run('haproxy', ['-c', '-f', join(ROOT, 'deploy/haproxy.cfg')]);
  assert.deepEqual([checked.code, checked.stderr], [0, '']);
});

test('ports in deploy/ are those of the configuration', () => {
  const { ssh, rdp, health, agentCheck } = DEFAULTS.listen;
  const ports = [ssh, rdp, health, agentCheck].map((each) => each?.port);
  assert.equal(/^EXPOSE (.*)$/m.exec(file('deploy/Dockerfile'))?.[1], ports.join(' '));
  const balancer = file('deploy/haproxy.cfg');
  for (const found of [`bind :${ssh.port}`, `bind :${rdp.port}`, `check port ${health?.port} `])
    assert.ok(balancer.includes(found), found);
  assert.ok(balancer.includes(`agent-port ${agentCheck?.port} `));
});

test('the configuration that the unit and the image start with is one', () => {
  const config = parseConfig(file('deploy/sallyport.yaml'), '/etc/sallyport/sallyport.yaml');
  assert.equal(config.node.dataDir, '/var/lib/sallyport');
  // What stands there as a comment is meant to be taken out of it.
  const all = file('deploy/sallyport.yaml').replace(/^( *)# (?=\s*\w+:)/gm, '$1');
  const given = parseConfig(all, '/etc/sallyport/sallyport.yaml');
  assert.deepEqual(given.listen.proxyProtocol.from, ['10.0.0.10/32']);
});

/** The instructions of a Dockerfile, one line each. */
const instructions = file('deploy/Dockerfile')
  .replaceAll(/^\s*#.*\n/gm, '')
  .replaceAll(/\\\n/g, ' ')
  .split('\n')
  .filter((line) => line !== '');

test('what is copied into the image is all that the gateway is made of', async () => {
  const kept = file('.dockerignore')
    .split('\n')
    .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
  const copied = instructions.flatMap((line) =>
    /^COPY (?!--from)/.test(line) ? line.split(/\s+/).slice(1, -1) : [],
  );
  const image = temporaryFolder('image');
  symlinkSync(join(ROOT, 'node_modules'), join(image, 'node_modules'));
  for (const path of copied.map((each) => each.replace(/\/$/, ''))) {
    assert.ok(
      kept.some((each) => path === each || path.startsWith(`${each}/`)),
      `.dockerignore keeps ${path} out`,
    );
    cpSync(join(ROOT, path), join(image, path), { recursive: true });
  }
  const { code, text, stderr } = await run(process.execPath, [join(image, 'gateway/cli/main.ts'), '--help']);
  assert.equal(code, 0, stderr);
  assert.match(text, /serve/);
});

test('the shell commands of the image are well formed', async () => {
  const commands = instructions.flatMap((line) => (line.startsWith('RUN ') ? [line.slice(4)] : []));
  assert.ok(commands.length > 0);
  for (const command of commands) await runOk('/bin/sh', ['-n', '-c', command]);
});
