import { BarController, BarElement, CategoryScale, Chart, LinearScale, Tooltip } from "chart.js";
import { SlickGrid } from "slickgrid";

Chart.register(BarController, BarElement, CategoryScale, LinearScale, Tooltip);
globalThis.Chart = Chart;
globalThis.SlickGrid = SlickGrid;
