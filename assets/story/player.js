// Which step of a story is shown: it plays, stands, and follows what is live. Knows nothing of the page.

export class Player {
  count = 0; // steps
  step = 0; // which of them is shown
  playing = false;
  #id = "";
  #began = 0; // ms of the page's clock, when the step after which playing goes on was shown
  #first = 0; // that step
  #duration = 8000; // ms of all steps

  /**
   * Take a story; it begins anew where it is another one, otherwise it stays where a person put it.
   * @param {string} id
   * @param {number} count steps
   * @param {number} seconds that playing all of them takes
   * @param {boolean} play whether a new one plays by itself
   */
  load(id, count, seconds, play) {
    const atEnd = this.step >= this.count - 1;
    const isNew = id !== this.#id;
    this.#id = id;
    this.count = count;
    this.#duration = 1000 * seconds;
    if (isNew) {
      this.playing = false;
      this.step = play ? 0 : this.last;
      if (play && count > 1) this.play();
    } else if (atEnd && !this.playing) this.step = this.last;
    this.step = Math.min(this.step, this.last);
  }
  get last() {
    return Math.max(this.count - 1, 0);
  }

  /** Go on from the step that is shown; from the beginning where it is the last. */
  play() {
    if (this.step >= this.last) this.step = 0;
    this.playing = this.count > 1;
    this.#first = this.step;
    this.#began = 0;
  }
  pause() {
    this.playing = false;
  }
  /** @param {number} step where to stand */
  seek(step) {
    this.playing = false;
    this.step = Math.min(Math.max(Math.round(step), 0), this.last);
  }
  /**
   * Move on while playing; return whether another step is shown.
   * @param {number} now ms of the page's clock
   */
  advance(now) {
    if (!this.playing) return false;
    this.#began ||= now;
    const passed = Math.floor(((now - this.#began) / this.#duration) * this.last);
    const step = Math.min(this.#first + passed, this.last);
    const moved = step !== this.step;
    this.step = step;
    if (step >= this.last) this.playing = false;
    return moved;
  }
}
