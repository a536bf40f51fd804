/** Prices: the book, contracts and selling, what has no price, findings, pricing again. */

import { Page } from "@/design/basics";
import { Tabs } from "@/design/tabs";
import { useView } from "@/lib/view";
import { useFindings, useUnpriced } from "./api";
import { BookTab } from "./Book";
import { FindingsTab } from "./Findings";
import { ModelPage } from "./Model";
import { RerateTab } from "./Rerate";
import { SellTab } from "./SellTab";
import { UnpricedTab } from "./Unpriced";

export default function Prices() {
  const view = useView();
  const tab = view.text("tab", "book");
  const open = view.text("open");
  if (tab === "book" && open) return <ModelPage id={open} />;
  return (
    <Page title="Prices" sub="What calls cost, since when, and who says so">
      <PriceTabs tab={tab} />
      {tab === "sell" ? (
        <SellTab />
      ) : tab === "unpriced" ? (
        <UnpricedTab />
      ) : tab === "findings" ? (
        <FindingsTab />
      ) : tab === "rerate" ? (
        <RerateTab />
      ) : (
        <BookTab />
      )}
    </Page>
  );
}

/** What waits for a person is counted on its tab. */
function PriceTabs({ tab }: { tab: string }) {
  const unpriced = useUnpriced().data?.unpriced.length;
  const findings = useFindings(false).data?.length;
  const counted = (text: string, waiting: number | undefined) =>
    waiting ? (
      <>
        {text} <span className="badge warn">{waiting}</span>
      </>
    ) : (
      text
    );
  return (
    <Tabs
      label="Parts of prices"
      value={tab}
      tabs={[
        ["book", "Book"],
        ["sell", "Contract & sell"],
        ["unpriced", counted("Unpriced", unpriced)],
        ["findings", counted("Findings", findings)],
        ["rerate", "Re-rate"],
      ]}
    />
  );
}
