// Builds the page as one file: script, style and icon are inside it, so that the binary carries a single text
// and a browser asks for nothing else.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vite';

/** What the server puts in for each answer: see src/web/page.rs. */
const NONCE = 'nonce="{{nonce}}"';

const LICENCES = 'licences.md';

/** Moves the script and the style into the HTML, and the licences of what is in them to its end. */
function oneFile() {
  return {
    name: 'one-file',
    writeBundle({ dir }, bundle) {
      const files = Object.keys(bundle);
      const read = (ending) => readFileSync(join(dir, files.find((file) => file.endsWith(ending))), 'utf8');
      let html = read('index.html');
      const put = (what, instead) => {
        if (!what.test(html)) throw new Error(`no ${what} in the page`);
        // A function, since in a text `$` would mean something.
        html = html.replace(what, () => instead);
      };
      const script = read('.js').replaceAll('</script', '<\\/script').replaceAll('<!--', '<\\!--');
      put(/<script type="module"[^>]*><\/script>/, `<script type="module" ${NONCE}>${script}</script>`);
      put(/<link rel="stylesheet"[^>]*>/, `<style ${NONCE}>${read('.css')}</style>`);
      const licences = read(LICENCES).replaceAll('-->', '-- >');
      rmSync(dir, { recursive: true });
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, 'index.html'), `${html}<!--\n${licences}\n-->\n`);
    },
  };
}

export default defineConfig({
  // No React plugin: it would bring reloading while the page is written, and this is all that a build needs.
  oxc: { jsx: { runtime: 'automatic' } },
  plugins: [oneFile()],
  build: {
    outDir: '../.tools/page',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: Number.MAX_SAFE_INTEGER,
    license: { fileName: LICENCES },
    // It is one file on purpose, read from this machine.
    chunkSizeWarningLimit: 2_000,
  },
});
