// The plot of round trips and of the rate, over the seconds that a measurement takes.

const Plot = {
  BUCKET_MS: 250,
  /** As wide as it is shown, so that what is written in it keeps its size. */
  width: 800,
  LEFT: 72,
  /** Top and bottom of each of the two panels. */
  TRIPS: [16, 150],
  RATE: [180, 236],

  draw(svg, { buckets, seconds, rate, back }) {
    Plot.width = Math.max(svg.clientWidth, 240);
    svg.setAttribute('viewBox', `0 0 ${Plot.width} 264`);
    const filled = Array.from(buckets, (bucket) => bucket ?? []);
    const medians = filled.map((bucket) => [...bucket].sort((a, b) => a - b)[Math.floor(bucket.length / 2)] ?? null);
    const longest = filled.map((bucket) => (bucket.length > 0 ? Math.max(...bucket) : null));
    const perSecond = filled.map((bucket) => (bucket.length * 1000) / Plot.BUCKET_MS);
    const tripsMax = Plot.roundUp(Math.max(1, ...longest));
    const rateMax = Plot.roundUp(Math.max(rate, ...perSecond));
    const slots = (seconds * 1000) / Plot.BUCKET_MS;
    const title = back > 0 ? `Round trips of ${back} messages, up to ${timeInWords(Math.max(...longest))}; the figures are below` : 'Round trips and messages a second: nothing measured yet';
    svg.replaceChildren(
      drawn('title', { id: 'plot-title' }, title),
      ...Plot.axis(Plot.TRIPS, timeInWords(tripsMax)),
      ...Plot.axis(Plot.RATE, `${rateMax}/s`),
      ...Plot.clock(seconds),
      Plot.bars(perSecond, rateMax, slots),
      Plot.curve('largest', longest, tripsMax, slots),
      Plot.curve('median', medians, tripsMax, slots),
    );
  },

  /** The next of 1, 2, 5, 10, 20, ... */
  roundUp(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
  },

  x(slot, slots) {
    return Plot.LEFT + (slot / slots) * (Plot.width - Plot.LEFT - 8);
  },

  axis([top, bottom], most) {
    return [
      drawn('path', { class: 'axis', d: `M${Plot.LEFT} ${top}H${Plot.width - 8}M${Plot.LEFT} ${bottom}H${Plot.width - 8}` }),
      drawn('text', { class: 'tick', x: Plot.LEFT - 8, y: top + 5 }, most),
      drawn('text', { class: 'tick', x: Plot.LEFT - 8, y: bottom + 5 }, '0'),
    ];
  },

  clock(seconds) {
    const y = Plot.RATE[1] + 22;
    return [
      drawn('text', { class: 'tick start', x: Plot.LEFT, y }, '0 s'),
      drawn('text', { class: 'tick', x: Plot.width - 8, y }, `${seconds} s`),
    ];
  },

  curve(kind, values, most, slots) {
    const [top, bottom] = Plot.TRIPS;
    let d = '';
    values.forEach((value, slot) => {
      if (value !== null) {
        const isNew = slot === 0 || values[slot - 1] === null;
        const y = bottom - (value / most) * (bottom - top);
        d += `${isNew ? 'M' : 'L'}${Plot.x(slot + 0.5, slots).toFixed(1)} ${y.toFixed(1)}`;
        d += isNew ? 'h.1' : '';
      }
    });
    return drawn('path', { class: `curve ${kind}`, d });
  },

  bars(values, most, slots) {
    const [top, bottom] = Plot.RATE;
    const width = Plot.x(1, slots) - Plot.x(0, slots);
    const bars = values.map((value, slot) => {
      const height = (value / most) * (bottom - top);
      const x = Plot.x(slot, slots) + width * 0.1;
      return drawn('rect', { x: x.toFixed(1), y: (bottom - height).toFixed(1), width: (width * 0.8).toFixed(1), height: height.toFixed(1) });
    });
    return drawn('g', { class: 'bars' }, ...bars);
  },
};
