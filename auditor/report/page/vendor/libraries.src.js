// What the page takes of its libraries; `npm run build` makes libraries.js of it.
import {
  BarController, BarElement, CategoryScale, Chart, LinearScale, LineController, LineElement, PointElement, Tooltip,
} from "chart.js";
import { SlickGrid } from "slickgrid";

Chart.register(
  BarController, BarElement, CategoryScale, LinearScale, LineController, LineElement, PointElement, Tooltip,
);
globalThis.Chart = Chart;
globalThis.SlickGrid = SlickGrid;
