import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { holdHome } from '../../../gateway/node/home.ts';
import { atExit, temporaryFolder } from '../../support/temp.ts';

const HOME = join(import.meta.dirname, '../../../gateway/node/home.ts');

test('a data folder is held by one process until that ends, however it ends', async () => {
  const folder = temporaryFolder('home');
  const script = `
    const { holdHome } = await import(${JSON.stringify(HOME)});
    const home = holdHome(${JSON.stringify(folder)});
    process.stdout.write(home.id);
    setInterval(() => home, 1000);`;
  const other = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const withdraw = atExit(() => void other.kill('SIGKILL'));
  const [id] = (await once(other.stdout, 'data')) as [Buffer];
  assert.throws(() => holdHome(folder), {
    name: 'ConfigurationError',
    message: `node.dataDir: ${folder} is in use by a gateway that runs: stop it, or give this one a folder of its own`,
  });
  other.kill('SIGKILL');
  await once(other, 'exit');
  withdraw();

  const home = holdHome(folder);
  assert.equal(home.id, id.toString(), 'the folder keeps its name');
  home.release();
  holdHome(folder).release();
});

test('each data folder has a name of its own', () => {
  const homes = ['one', 'two'].map((name) => holdHome(temporaryFolder(name)));
  assert.equal(new Set(homes.map(({ id }) => id)).size, 2);
  for (const home of homes) home.release();
});
