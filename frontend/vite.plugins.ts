import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

import type { Plugin } from 'vite';

/** A .gz beside each script and style, which webapp/page.py sends to browsers that take it. */
export function compress(): Plugin {
  return {
    name: 'compress',
    // Not before: Vite puts the names of other files in until the end.
    writeBundle({ dir }, bundle) {
      for (const name of Object.keys(bundle)) {
        if (!/\.(js|css)$/.test(name)) continue;
        const file = `${dir}/${name}`;
        writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
      }
    },
  };
}

/** licences.txt: what the packages in the bundle, and those built into them, want shipped with them. */
export function licences(): Plugin {
  return {
    name: 'licences',
    generateBundle() {
      const packages = new Set<string>();
      for (const id of this.getModuleIds()) {
        const [, name] = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(id) ?? [];
        if (!name) continue;
        packages.add(name);
        const { dependencies } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'));
        for (const inner of Object.keys(dependencies ?? {})) packages.add(inner);
      }
      const texts = [...packages].sort().map((name) => {
        const file = `node_modules/${name}/LICENSE`;
        if (!existsSync(file)) throw new Error(`${name} is bundled and brings no ${file}`);
        return `${name}\n\n${readFileSync(file, 'utf8').trim()}\n`;
      });
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source: texts.join(`\n${'-'.repeat(72)}\n\n`) });
    },
  };
}
