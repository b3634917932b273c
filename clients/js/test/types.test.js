import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const here = new URL('..', import.meta.url).pathname

test('the package has what an application needs, and its declarations are those of the client', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pico-auth-'))
  try {
    const installed = join(folder, 'node_modules/@pico-auth/client')
    mkdirSync(installed, { recursive: true })
    const [{ filename, files }] = JSON.parse(execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { cwd: here, stdio: 'pipe' }))
    assert.deepEqual(files.map(({ path }) => path).sort(), ['LICENSE', 'README.md', 'package.json', 'pico-auth.d.ts', 'pico-auth.js'])
    execFileSync('tar', ['xzf', join(folder, filename), '--strip-components', '1', '-C', installed])
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}')
    copyFileSync(join(here, 'test/sample.ts'), join(folder, 'sample.ts'))
    copyFileSync(join(here, 'pico-auth.js'), join(folder, 'implementation.js'))
    const { status, stdout } = spawnSync(join(here, 'node_modules/.bin/tsc'), [
      '--strict', '--noEmit', '--allowJs', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2023,dom,dom.iterable', 'sample.ts',
    ], { cwd: folder, encoding: 'utf8' })
    assert.equal(status, 0, stdout)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
