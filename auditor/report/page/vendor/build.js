// Makes libraries.js and slick.grid.css of the packages that package-lock.json pins:
//
//     npm ci --ignore-scripts && npm run build [folder to write to]
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const target = process.argv[2] ?? ".";
const packages = "node_modules/";

const { metafile, outputFiles } = await build({
  entryPoints: ["libraries.src.js"],
  bundle: true,
  format: "iife",
  minify: true,
  target: "es2022",
  legalComments: "none", // the licences stand whole at the top
  metafile: true,
  write: false,
});

/** "chart.js", "@kurkle/color": the package that a file belongs to. */
function owner(file) {
  const parts = file.slice(packages.length).split("/");
  return parts.slice(0, parts[0].startsWith("@") ? 2 : 1).join("/");
}

/** Name, version and the whole licence of a package, and its licence in a file of its own. */
function credit(name) {
  const folder = join(packages, name);
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.\w+)?$/i.test(entry));
  const licence = readFileSync(join(folder, file), "utf8").replaceAll("\r", "").trim();
  writeFileSync(join(target, `LICENSE-${name.replace("@", "").replace("/", "-")}.txt`), `${licence}\n`);
  return `${name} ${version}\n${licence}`;
}

const bundled = Object.keys(metafile.inputs).filter((file) => file.startsWith(packages));
const credits = [...new Set(bundled.map(owner))].sort().map(credit);
writeFileSync(join(target, "libraries.js"), `/*!\n${credits.join("\n\n")}\n*/\n${outputFiles[0].text}`);

const styles = await build({
  entryPoints: [`${packages}slickgrid/dist/styles/css/slick.grid.css`],
  minify: true,
  write: false,
});
writeFileSync(join(target, "slick.grid.css"), styles.outputFiles[0].text);
