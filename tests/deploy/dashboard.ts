// Grafana's types as JSON is typed: what is an enum there is one of its values here. The last line is added by the test: a
// dashboard, written out, because only an object that is written out is searched for fields that Grafana doesn't know.

import type { Dashboard, Panel, RowPanel } from "@grafana/schema/dist/types/raw/dashboard/x/types.gen";
import type * as Heatmap from "@grafana/schema/dist/types/raw/composable/heatmap/panelcfg/x/types.gen";
import type * as Stat from "@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen";
import type * as Table from "@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen";
import type * as TimeSeries from "@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen";

type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

interface Target {
  refId: string;
  datasource: { type: "prometheus"; uid: "${datasource}" };
  editorMode: "code";
  format: "time_series" | "table" | "heatmap";
  expr: string;
  legendFormat: string;
  instant: boolean;
  range: boolean;
  exemplar: boolean;
}

type Of<Type extends string, Options, Custom> = Omit<Json<Panel>, "type" | "options" | "fieldConfig" | "targets"> & {
  type: Type;
  title: string;
  description: string;
  options: Json<Partial<Options>>;
  targets: Target[];
  fieldConfig: {
    defaults: Omit<Json<NonNullable<Panel["fieldConfig"]>["defaults"]>, "custom" | "unit" | "thresholds"> & {
      unit: string;
      thresholds: Json<NonNullable<NonNullable<Panel["fieldConfig"]>["defaults"]["thresholds"]>>;
      custom: Json<Partial<Custom>>;
    };
    overrides: never[];
  };
};

type AnyPanel =
  | Of<"timeseries", TimeSeries.Options, TimeSeries.FieldConfig>
  | Of<"stat", Stat.Options, Record<string, never>>
  | Of<"heatmap", Heatmap.Options, Heatmap.FieldConfig>
  | Of<"table", Table.Options, Table.FieldConfig>
  | Json<RowPanel>;

// Annotations of Prometheus have fields of their own.
interface Annotation {
  name: string;
  enable: boolean;
  iconColor: string;
  datasource: { type: "prometheus"; uid: "${datasource}" };
  expr: string;
  titleFormat: string;
  step: string;
}

export type Ours = Omit<Json<Dashboard>, "panels" | "annotations"> & {
  panels: AnyPanel[];
  annotations: { list: Annotation[] };
};
