/** What went wrong by no fault of the page, in a sentence that says what to do: it is shown as it is. */
export class Notice extends Error {}
