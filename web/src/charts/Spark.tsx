/** A trend of a few points beside a number. */

interface SparkProps {
  values: number[];
  label: string;
  width?: number;
  height?: number;
}

export function Spark({ values, label, width = 84, height = 22 }: SparkProps) {
  const most = Math.max(...values, 0);
  if (values.length < 2 || most === 0) {
    return <span className="faint">–</span>;
  }
  const step = width / (values.length - 1);
  const y = (value: number) => height - 2 - (Math.max(0, value) / most) * (height - 4);
  const line = values.map(
    (value, at) => `${at ? "L" : "M"}${(at * step).toFixed(1)} ${y(value).toFixed(1)}`,
  );
  const shape = line.join("");
  return (
    <svg className="spark" width={width} height={height} role="img" aria-label={label}>
      <path d={`${shape}L${width} ${height}L0 ${height}Z`} fill="var(--accent)" opacity="0.12" />
      <path d={shape} fill="none" stroke="var(--accent)" strokeWidth="1.5" strokeLinejoin="round" />
    </svg>
  );
}
