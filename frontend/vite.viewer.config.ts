import { defineConfig, type Plugin } from 'vite';

/** The viewer alone as ONE html file, which `scenelift view` serves and `--export` fills. */
export default defineConfig({
  base: './',
  plugins: [inlineEverything()],
  build: {
    outDir: '../src/scenelift/webapp',
    emptyOutDir: false,
    target: 'es2022',
    modulePreload: false,
    cssCodeSplit: false,
    chunkSizeWarningLimit: 4000,
    rolldownOptions: { input: 'viewer.html', output: { codeSplitting: false } },
  },
});

function inlineEverything(): Plugin {
  return {
    name: 'inline-everything',
    enforce: 'post',
    generateBundle(_options, bundle) {
      const page = bundle['viewer.html'];
      if (page?.type !== 'asset') throw new Error('viewer.html was not built');
      let html = String(page.source);
      for (const [name, file] of Object.entries(bundle)) {
        if (file === page) continue;
        const tag = new RegExp(`<(script|link)[^>]*"\\./${name}"[^>]*>(</script>)?`);
        if (!tag.test(html)) throw new Error(`${name} is not referred to by viewer.html`);
        // A function, because the code is full of `$`. A closing tag inside a string literal
        // would end the script; `<\/` means the same to JavaScript.
        const inline =
          file.type === 'chunk'
            ? `<script type="module">${file.code.replaceAll('</script', '<\\/script')}</script>`
            : `<style>${String(file.source)}</style>`;
        html = html.replace(tag, () => inline);
        delete bundle[name];
      }
      page.source = html;
    },
  };
}
