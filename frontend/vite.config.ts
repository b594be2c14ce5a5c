import { defineConfig } from 'vite';

import { compress, licences } from './vite.plugins';

/** The web app's page: index.html and hashed files under assets/, as the server serves them. */
export default defineConfig({
  base: './',
  plugins: [licences(), compress()],
  build: {
    outDir: '../src/scenelift/webapp/static',
    emptyOutDir: true,
    target: 'es2022',
    // three and spark are one lazy chunk of 3 MB; there is nothing left to split.
    chunkSizeWarningLimit: 4000,
  },
  server: {
    proxy: { '/api': 'http://127.0.0.1:8000' },
  },
});
