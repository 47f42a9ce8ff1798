"use strict";
// The heap page by page. Runs of cells that are alike are filled row by row, so a heap of a million pages is
// drawn as fast as it has different stretches.
(() => {
  const USES = ["slab", "run", "extent", "block of its own", "free, to be given back", "given back, or never used", "records"];
  const [DIRT, GIVEN_BACK, RECORDS] = [4, 5, 6];
  const NOT_TOLD = 255;
  const PAGE = 4096;

  class Heap {
    constructor(figure, map) {
      Object.assign(this, { figure, map, at: 0 });
      this.place = figure.querySelector(".cells");
      this.canvas = figure.querySelector("canvas");
      this.mark = figure.querySelector(".cursor");
      this.output = figure.querySelector(".read");
      let cells = 0;
      this.stretches = map.stretches.map(({ start, runs }) => {
        const ends = [];
        let count = 0;
        for (let at = 0; at < runs.length; at += 2) ends.push((count += runs[at]));
        const stretch = { start: BigInt(`0x${start}`), first: cells, count, ends, runs };
        cells += count;
        return stretch;
      });
      this.cells = cells;
      figure.hidden = false;
      this.canvas.setAttribute("role", "img");
      this.canvas.setAttribute("aria-label", this.place.getAttribute("aria-label"));
      this.listen();
      new ResizeObserver(() => this.draw()).observe(this.place);
    }

    // The size of a cell: large while they all fit on some screens.
    lay() {
      const width = this.place.clientWidth;
      const side = [12, 10, 8, 7, 6, 5, 4, 3].find((side) => (this.cells / Math.floor(width / side)) * side < 700) ?? 3;
      this.side = side;
      this.columns = Math.max(1, Math.floor(width / side));
      let row = 0;
      for (const stretch of this.stretches) {
        stretch.row = row;
        row += Math.ceil(stretch.count / this.columns);
      }
      this.rows = row;
    }

    colours() {
      const stops = ["ramp-low", "ramp-middle", "ramp-high"].map((name) => this.rgb(name));
      const mix = (share) => {
        const [from, to] = share < 0.5 ? stops : stops.slice(1);
        const part = share < 0.5 ? share * 2 : share * 2 - 1;
        return from.map((low, index) => Math.round(low + (to[index] - low) * part));
      };
      return this.map.palette.map(([use, , live, resident]) => {
        const there = resident === NOT_TOLD ? 1 : resident / 100;
        if (use === GIVEN_BACK) return { kind: there > 0 ? "dirt" : "hollow", there };
        if (use === DIRT) return { kind: "dirt", there: Math.max(there, 0.15) };
        if (there === 0) return { kind: "absent" };
        if (use === RECORDS) return { kind: "fill", colour: neap.colour("records"), there };
        if (live === 0) return { kind: "fill", colour: neap.colour("slab_pages"), there };
        return { kind: "fill", colour: `rgb(${mix(Math.min(1, live / PAGE)).join(" ")})`, there };
      });
    }

    rgb(name) {
      return neap.colour(name).match(/[\d.]+/g).slice(0, 3).map(Number);
    }

    draw() {
      if (this.place.clientWidth === 0) return;
      this.lay();
      const ratio = devicePixelRatio || 1;
      const { canvas, side } = this;
      canvas.width = this.columns * side * ratio;
      canvas.height = Math.max(1, this.rows * side * ratio);
      canvas.style.width = `${this.columns * side}px`;
      canvas.style.height = `${this.rows * side}px`;
      const brush = canvas.getContext("2d", { alpha: true });
      brush.scale(ratio, ratio);
      const styles = this.colours();
      const line = neap.colour("cell-line");
      const hatch = this.hatch(brush);
      for (const stretch of this.stretches) {
        let cell = 0;
        for (let at = 0; at < stretch.runs.length; at += 2) {
          const style = styles[stretch.runs[at + 1]];
          let rest = stretch.runs[at];
          while (rest > 0) {
            const column = cell % this.columns;
            const count = Math.min(rest, this.columns - column);
            const y = (stretch.row + Math.floor(cell / this.columns)) * side;
            this.paint(brush, style, [column * side, y, count * side], { line, hatch });
            cell += count;
            rest -= count;
          }
        }
      }
      this.grid(brush);
      this.show(this.at, false);
    }

    paint(brush, style, [x, y, width], { line, hatch }) {
      const { side } = this;
      brush.globalAlpha = 1;
      if (style.kind === "hollow") {
        brush.fillStyle = line;
        brush.fillRect(x, y + side - 1.5, width, 0.75);
        return;
      }
      if (style.kind === "absent") {
        brush.fillStyle = neap.colour("absent");
        brush.fillRect(x, y, width, side);
        return;
      }
      brush.globalAlpha = 0.35 + 0.65 * style.there;
      brush.fillStyle = style.kind === "dirt" ? hatch : style.colour;
      brush.fillRect(x, y, width, side);
      brush.globalAlpha = 1;
    }

    hatch(brush) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 4;
      const pen = tile.getContext("2d");
      pen.fillStyle = neap.colour("dirt-ground");
      pen.fillRect(0, 0, 4, 4);
      pen.fillStyle = neap.colour("dirt");
      for (let at = 0; at < 4; at += 1) {
        pen.fillRect(at, 3 - at, 1, 1);
        pen.fillRect((at + 1) % 4, 3 - at, 1, 1);
      }
      return brush.createPattern(tile, "repeat");
    }

    // Lines between cells that are large enough to be told apart.
    grid(brush) {
      if (this.side < 5) return;
      brush.fillStyle = neap.colour("ground");
      const [width, height] = [this.columns * this.side, this.rows * this.side];
      for (let x = this.side; x <= width; x += this.side) brush.fillRect(x - 1, 0, 1, height);
      for (let y = this.side; y <= height; y += this.side) brush.fillRect(0, y - 1, width, 1);
    }

    find(cell) {
      const stretch = this.stretches.find((one) => cell < one.first + one.count);
      if (!stretch) return null;
      const inside = cell - stretch.first;
      let [low, high] = [0, stretch.ends.length - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (stretch.ends[middle] > inside) high = middle;
        else low = middle + 1;
      }
      return { stretch, inside, cell: this.map.palette[stretch.runs[2 * low + 1]] };
    }

    text(found) {
      const { pages_per_cell: pages, rounded_to_bytes: rounded } = this.map;
      const [use, block, live, resident] = found.cell;
      const address = found.stretch.start + BigInt(found.inside) * BigInt(pages * PAGE);
      const parts = [`0x${address.toString(16)}`];
      if (pages > 1) parts.push(`${pages} pages`);
      parts.push(use === 0 ? `slab of ${neap.size(block)} blocks` : USES[use]);
      if (use < DIRT) {
        const about = rounded > 1 ? "at most " : "";
        parts.push(`${about}${neap.count(live)} of ${neap.count(PAGE)} bytes${pages > 1 ? " a page" : ""} live (${Math.round((100 * live) / PAGE)} %)`);
      }
      if (resident === NOT_TOLD) parts.push("in memory: n/a");
      else parts.push(resident === 100 ? "in memory" : resident === 0 ? "not in memory" : `${resident} % in memory`);
      return parts.join(", ");
    }

    show(cell, tell = true) {
      this.at = Math.max(0, Math.min(this.cells - 1, cell));
      const found = this.find(this.at);
      if (!found || !this.columns) return;
      const row = found.stretch.row + Math.floor(found.inside / this.columns);
      const { style } = this.mark;
      style.left = `${(found.inside % this.columns) * this.side}px`;
      style.top = `${row * this.side}px`;
      style.width = style.height = `${this.side}px`;
      if (tell) {
        this.mark.hidden = false;
        this.output.textContent = this.text(found);
      }
    }

    under(event) {
      const box = this.canvas.getBoundingClientRect();
      const column = Math.floor((event.clientX - box.left) / this.side);
      const row = Math.floor((event.clientY - box.top) / this.side);
      const stretch = this.stretches.findLast((one) => one.row <= row);
      if (!stretch || column < 0 || column >= this.columns) return null;
      const inside = (row - stretch.row) * this.columns + column;
      return inside < stretch.count ? stretch.first + inside : null;
    }

    listen() {
      const point = (event) => {
        const cell = this.under(event);
        if (cell !== null) this.show(cell);
      };
      this.place.addEventListener("pointermove", point);
      this.place.addEventListener("pointerdown", point);
      this.place.addEventListener("focus", () => this.show(this.at));
      this.place.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const page = this.columns * 8;
        const steps = {
          ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns,
          PageDown: page, PageUp: -page, Home: -this.cells, End: this.cells,
        };
        if (!(event.key in steps)) return;
        event.preventDefault();
        this.show(this.at + steps[event.key]);
      });
    }
  }

  neap.heaps = neap.data.heaps.map((map) => {
    const figure = document.querySelector(`[data-map="${map.when}-${map.pid}"]`);
    return new Heap(figure, map);
  });
  addEventListener("colours", () => {
    neap.colours.clear();
    for (const heap of neap.heaps) heap.draw();
  });
})();
