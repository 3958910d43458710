import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** Below this a file is sent as it is: compressing it saves no packet. */
const COMPRESSED_BYTES_MIN = 1024;

/** Writes `x.gz` and `x.br` beside every file that they are shorter than. */
function precompress(): Plugin {
  return {
    name: "precompress",
    apply: "build",
    async writeBundle({ dir }) {
      const assets = join(dir!, "assets");
      const names = (await readdir(assets)).filter((name) => /\.(js|css|svg)$/.test(name));
      await Promise.all(
        names.map(async (name) => {
          const bytes = await readFile(join(assets, name));
          if (bytes.length < COMPRESSED_BYTES_MIN) return;
          await writeFile(join(assets, `${name}.gz`), await promisify(gzip)(bytes, { level: 9 }));
          const params = { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
          await writeFile(join(assets, `${name}.br`), await promisify(brotliCompress)(bytes, { params }));
        }),
      );
    },
  };
}

export default defineConfig({
  // Every page is one segment below the server's prefix, so that relative paths work under any.
  base: "./",
  plugins: [precompress()],
  worker: { format: "es" },
  build: {
    target: "es2022",
    // The policy forbids data: URLs; module preloading's shim would be inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1024,
  },
  server: {
    proxy: Object.fromEntries(
      ["/api", "/-/", "/metrics"].map((path) => [path, process.env.FERULA ?? "http://localhost:9090"]),
    ),
  },
});
