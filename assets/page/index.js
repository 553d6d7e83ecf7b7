// What every page of the app does beside what Streamlit does.

import { watch } from "./count.js";
import { follow } from "./links.js";
import { watch as sort } from "./sort.js";

sort(); // by what was written, before that begins to count
watch();
follow();
