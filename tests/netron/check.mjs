// Opens a DLC with the reader of Netron, without a browser, and prints what Netron would show.
//
// usage: node check.mjs NETRON FILE
// NETRON: a folder with the scripts of Netron and a package.json that says {"type": "module"}.
// The bytes of constants are printed as their SHA-256, and the numbers of small ones as well.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const SMALL = 4096;
const [folder, file] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(resolve(folder, `${name}.js`)).href);
const { Tensor, BinaryStream } = await load('base');
const { Archive } = await load('zip');
const { ModelFactory } = await load('dlc');
if (Archive.import) {
    await Archive.import();
}

// What the reader asks Netron's page for.
class Page {
    constructor(name, bytes) {
        this.identifier = name;
        this.bytes = bytes;
        this.stream = new BinaryStream(bytes);
    }

    async peek(kind) {
        const archive = kind === 'zip' ? Archive.open(new BinaryStream(this.bytes)) : null;
        return archive ? archive.entries : null;
    }

    set(type, value) {
        Object.assign(this, { type, value });
        return type;
    }

    async require(name) {
        return load(name);
    }

    async metadata(name) {
        const types = new Map();
        for (const type of JSON.parse(await readFile(join(folder, name), 'utf-8'))) {
            types.set(type.name, type);
        }
        return {
            type: (name) => types.get(name) || { name },
            attribute: (type, name) => types.get(type)?.attributes?.find((a) => a.name === name)
        };
    }

    async fetch(name) {
        throw new Error(`${name} is not in the file`);
    }
}

const numbers = (value) => (Array.isArray(value) ? value.flatMap(numbers) : [Number(value)]);

const shown = (initializer) => {
    const bytes = initializer.values;
    const row = { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
    const tensor = new Tensor(initializer);
    if (bytes.length <= SMALL && !tensor.empty && initializer.type.dataType !== 'undefined') {
        row.numbers = numbers(tensor.value).map((x) => (Number.isFinite(x) ? x : String(x)));
    }
    return row;
};

const value = (found) => ({
    name: found.name,
    dtype: found.type ? found.type.dataType : null,
    shape: found.type ? found.type.shape.dimensions : null,
    constant: found.initializer ? shown(found.initializer) : null
});

const attribute = (found) => {
    const tensor = found.type === 'tensor';
    return [found.name, tensor ? { dtype: found.value.type.dataType, ...shown(found.value) } : found.value];
};

const node = (found) => ({
    type: found.type.name,
    category: found.type.category || null,
    name: found.name,
    inputs: found.inputs.flatMap((argument) => argument.value.map(value)),
    outputs: found.outputs.flatMap((argument) => argument.value.map(value)),
    attributes: Object.fromEntries(found.attributes.map(attribute))
});

const page = new Page(basename(file), new Uint8Array(await readFile(file)));
const factory = new ModelFactory();
if (!await factory.match(page)) {
    throw new Error(`${file} is no DLC to Netron`);
}
const model = await factory.open(page);
console.log(JSON.stringify({
    format: model.format,
    version: model.version,
    source: model.source,
    graphs: model.modules.map((graph) => ({ name: graph.name, nodes: graph.nodes.map(node) }))
}));
