import { defineConfig } from "vite";

export default defineConfig({
  // Django serves dist/ under this prefix; see STATICFILES_DIRS.
  base: "/static/dashboard/",
  build: {
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // Names the hashed files for streaming/pages.py.
    manifest: "manifest.json",
    rollupOptions: { input: "src/main.tsx" },
    // The polyfill and inlined assets would break the content security policy.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    // compress.mjs removes old files later: a running server still names them.
    emptyOutDir: false,
    reportCompressedSize: true,
  },
});
