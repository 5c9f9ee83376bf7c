/** The page's style: light and dark, from 360 pixels on, no font but the system's. */

/** Hues of the nemeses' tints. */
const HUES = [262, 28, 150, 330, 200, 55, 95, 300]

const tints = HUES.map(
  (hue, i) =>
    `.t${i}{--tint:hsl(${hue} 65% 50%);fill:hsl(${hue} 70% 50%/.11)}.bar.t${i},.swatch.t${i}{background:hsl(${hue} 70% 50%/.26);border-left:3px solid hsl(${hue} 60% 52%)}`,
).join('\n')

export const style = `
:root{color-scheme:light dark;--bg:#faf9f6;--card:#fff;--fg:#1c1f23;--muted:#626870;--line:#e2dfd8;--grid:#00000014;
--ok:#1b7895;--fail:#b3480b;--info:#7444c0;--bad:#c02020;--good:#187a48;--unsure:#8a6400;--gutter:clamp(54px,11vw,118px)}
@media(prefers-color-scheme:dark){:root{--bg:#121417;--card:#1a1d22;--fg:#e8e7e3;--muted:#9aa1aa;--line:#2c3038;--grid:#ffffff17;
--ok:#57b6d6;--fail:#f29a55;--info:#b89af5;--bad:#ff7169;--good:#4fc887;--unsure:#e2b84a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header{max-width:1240px;margin:0 auto;padding:0 clamp(12px,3vw,32px)}
h1,h2,h3{line-height:1.2;text-wrap:balance}
h2{font-size:1.25rem;margin:2.6rem 0 .7rem}
h3{font-size:.95rem;margin:0 0 .35rem}
small{font-weight:400;color:var(--muted);font-size:.8rem}
code,pre{font:.85em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;unicode-bidi:isolate}
a{color:inherit}
:focus-visible{outline:2px solid var(--ok);outline-offset:2px}
.skip{position:absolute;left:-999px}.skip:focus{left:8px;top:8px;background:var(--card);padding:6px 10px;z-index:9}
.verdict{border-left:8px solid var(--tone);background:var(--card);border-radius:6px;padding:18px 22px;margin:24px 0 14px;box-shadow:0 1px 3px #0000001c}
.verdict h1{margin:0;font-size:clamp(1.5rem,4vw,2.2rem);color:var(--tone);letter-spacing:-.01em}
.verdict h1 .mark{display:inline-block;width:1.15em}
.verdict p{margin:.4rem 0 0}.verdict ul{margin:.5rem 0 0;padding-left:1.2rem}
.valid{--tone:var(--good)}.invalid{--tone:var(--bad)}.unknown{--tone:var(--unsure)}
.what{color:var(--muted)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:10px;margin:0;padding:0;list-style:none}
.tiles li{background:var(--card);border-radius:6px;padding:10px 14px;box-shadow:0 1px 2px #00000014}
.tiles b{display:block;font-size:1.3rem;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.tiles span{color:var(--muted);font-size:.8rem}
.chart,.panel{background:var(--card);border-radius:6px;padding:12px 14px;margin:0 0 10px;box-shadow:0 1px 2px #00000014}
.panel .row+.row{margin-top:10px}.panel .row.axis{margin-top:3px}
.row{display:grid;grid-template-columns:var(--gutter) minmax(0,1fr);margin-top:4px}
.gutter{position:relative;font-size:11.5px;color:var(--muted);padding-right:8px;line-height:1.3;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;align-self:stretch}
.panel .gutter,figure .gutter{overflow:visible}
.gutter>span:not(.swatch){position:absolute;right:8px;transform:translateY(-50%)}
.swatch{display:inline-block;width:10px;height:10px;margin-right:5px;border-radius:2px}
.canvas{position:relative;min-width:0}
.canvas svg{display:block;contain:layout paint;will-change:transform;width:100%;height:100%;overflow:visible}
#run.live .canvas::after{content:"";position:absolute;top:0;bottom:-4px;left:var(--at,0);border-left:1px solid var(--fg);opacity:.55;pointer-events:none}
.axis .canvas{height:18px}.tick{position:absolute;font-size:11.5px;color:var(--muted);transform:translateX(-50%);white-space:nowrap;font-variant-numeric:tabular-nums}
.tick:first-child{transform:none}
.bar{position:absolute;top:1px;bottom:1px;min-width:3px;border-radius:2px;font-size:11px;line-height:1.45;padding-left:4px;overflow:hidden;white-space:nowrap;text-overflow:ellipsis}
.phase{background:var(--grid);border-left:2px solid var(--muted);color:var(--muted)}
.ready{position:absolute;left:0;right:0;top:50%;border-top:2px solid var(--line)}
.led{background:var(--ok);color:var(--card);padding-left:5px}
.away{background:repeating-linear-gradient(135deg,var(--bad) 0 2px,var(--card) 2px 6px);color:transparent;top:4px;bottom:4px}
.leaderless{background:var(--bad);top:5px;bottom:5px}
.election{position:absolute;top:0;bottom:0;border-left:2px solid var(--fg)}
.led,.away,.leaderless{z-index:1}.found-at{position:absolute;top:0;transform:translateX(-50%);text-decoration:none;color:var(--bad);font-size:13px;line-height:18px}
.names{position:absolute;inset:0 0 auto 0;height:14px;pointer-events:none}
.names span{position:absolute;font-size:10px;line-height:14px;color:var(--muted);padding-left:2px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
path{vector-effect:non-scaling-stroke;fill:none;stroke-linecap:round}
.shades path,#shades path{stroke:none}
.grid{stroke:var(--grid)}
path.ok{stroke:var(--ok);stroke-width:2.6px;opacity:.75}
path.fail{stroke:var(--fail);stroke-width:1.8px;stroke-linecap:butt}
path.info{stroke:var(--info);stroke-width:7px}path.hole{stroke:var(--card);stroke-width:3.6px}
path.found{stroke:var(--bad);stroke-width:13px;opacity:.5}
.p50{stroke:var(--fg);stroke-width:1.2px}.p99{stroke:var(--fg);stroke-width:1px;opacity:.8;stroke-dasharray:4 3;stroke-linecap:butt}
.ok-area{fill:var(--ok);opacity:.8}.fail-area{fill:var(--fail)}.info-area{fill:none;stroke:var(--info);stroke-width:1.2px}
.ok-bar,.fail-bar,.info-bar{stroke-linecap:butt}
.ok-bar{stroke:var(--ok);stroke-width:3px;opacity:.75}.fail-bar{stroke:var(--fail);stroke-width:7px}.info-bar{stroke:var(--info);stroke-width:5px;stroke-dasharray:3 2}
.told{stroke:var(--ok);stroke-width:3px}
.bold .ok-bar{stroke-width:8px;opacity:1}.bold .fail-bar,.bold .info-bar{stroke-width:8px}.bold .told{stroke-width:9px;stroke:var(--bad)}
.shade{fill:var(--unsure);opacity:.14}.moment{stroke:var(--bad);stroke-dasharray:2 3}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:.8rem;color:var(--muted);margin:.2rem 0 .8rem}
.sign{width:14px;height:14px;vertical-align:-2px}
.scroll{overflow-x:auto;background:var(--card);border-radius:6px;box-shadow:0 1px 2px #00000014;margin:0 0 10px}
table{border-collapse:collapse;font-size:.85rem}.events{width:100%}
caption{text-align:left;padding:10px 12px 6px;color:var(--muted);font-size:.8rem}
th,td{text-align:left;vertical-align:top;max-width:32rem;overflow-wrap:break-word;padding:5px 12px;border-top:1px solid var(--line)}
thead th{white-space:nowrap;color:var(--muted);font-weight:600;border-top:0}
tbody th{font-weight:600}th.number,td.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:0 10px;align-items:start}
.anomaly{background:var(--card);border-radius:6px;border-left:4px solid var(--bad);padding:10px 14px;margin:0 0 10px;box-shadow:0 1px 2px #00000014}
.anomaly summary{cursor:pointer;overflow-wrap:anywhere}.anomaly .scroll,.anomaly .chart{box-shadow:none;padding:0;margin:10px 0 0}
figure figcaption{font-size:.8rem;color:var(--muted);margin-bottom:4px}
.kind{display:inline-block;background:var(--bad);color:var(--card);border-radius:3px;padding:0 7px;font-size:.8rem;font-weight:600;margin-right:4px}
.kinds{padding-left:1.2rem;margin:.2rem 0 .8rem}
.events td{padding:2px 12px;font-size:.8rem}.events td.number{text-align:left}.events td:nth-child(5){min-width:15em}.events td b{font-weight:600}.events code{overflow-wrap:anywhere}
tr.marked td{background:color-mix(in srgb,var(--bad) 13%,transparent);font-weight:600}
tr.of-nemesis td{color:var(--muted);font-style:italic}tr.gap td{color:var(--muted);text-align:center}
.type-fail,.error{color:var(--fail)}.type-info{color:var(--info)}
.error{overflow-wrap:anywhere}
pre{background:var(--card);border-radius:6px;padding:12px 14px;overflow-x:auto;box-shadow:0 1px 2px #00000014;white-space:pre-wrap;overflow-wrap:anywhere}
.note{color:var(--muted);font-size:.85rem}
#readout{position:sticky;bottom:0;background:var(--card);border:1px solid var(--line);border-radius:6px;padding:8px 14px;box-shadow:0 -2px 10px #0000001c;font-size:.82rem;z-index:2}
#readout .row{margin:0}#readout input{width:100%;margin:0;accent-color:var(--ok)}
#readout output{display:block;min-height:1.5em;font-variant-numeric:tabular-nums}
${tints}
@media(max-width:560px){th,td{padding:5px 8px}.events td{padding:2px 6px}.panel,.chart{padding:10px}.gutter{font-size:10px}.names span{font-size:9px}}
@media print{#readout{display:none}.chart,.panel,.scroll,.tiles li{box-shadow:none;border:1px solid var(--line)}}
`
