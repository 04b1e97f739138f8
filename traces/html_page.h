// The fixed parts of the HTML timeline (html.h): style, controls, script. Lanes go down, the run
// goes to the right, one event a step; the canvas is drawn anew at each change of view.
#pragma once

#include <string_view>

namespace traces {

inline constexpr std::string_view kHtmlBegin = R"~(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><style>
body{font:13px "DejaVu Sans",Verdana,sans-serif;margin:14px;color:#22324a;background:#fff}
h1{font-size:18px;color:#c62828;margin:0 0 6px}
p{margin:4px 0}
#bar{margin:8px 0}
#bar input{width:22em}
canvas{border:1px solid #c8d2db;width:100%;cursor:crosshair}
#tip{position:fixed;pointer-events:none;background:#22324aee;color:#fff;padding:6px 9px;border-radius:4px;display:none;max-width:60em;white-space:pre-wrap}
#key{color:#44525f;font-size:11px}
#key b{display:inline-block;width:16px;height:9px;margin:0 4px 0 10px}
#list{margin-top:8px;border-collapse:collapse}
#list td{padding:2px 10px 2px 4px;cursor:pointer;border-left:4px solid transparent}
#list td:first-child{white-space:nowrap}
#list td:last-child{color:#7a8894;font-size:11px}
#list tr:hover{background:#eef4fb}
#list .decision td{color:#b35900;font-weight:bold}
#list .failure td{color:#c62828;font-weight:bold}
</style>)~";

inline constexpr std::string_view kHtmlBody = R"~(
<div id="bar"><input id="filter" placeholder="filter: words, file or kind of event">
<button id="all">whole run</button> <button id="end">the end</button>
<span id="hint">wheel zooms, dragging moves, hovering tells</span></div>
<canvas id="view"></canvas><div id="tip"></div>
<p id="key"><b style="background:#4a7fb5"></b>runs<b style="background:#9fb3c6;height:2px"></b>could run<b style="background:#dfe5ea;height:2px"></b>waits<b style="background:#e67700"></b>put aside by the schedule<b style="background:#2e7d3255;border:1px solid #2e7d32"></b>I/O under way, its dot: takes effect<b style="background:#c62828;width:3px"></b>told below</p>
<table id="list"></table>
)~";

inline constexpr std::string_view kHtmlScript = R"~(
const LANE=40,LEFT=170,TOP=22;
const IO=['#607d8b','#2e7d32','#7c9a2e','#7b3fb5','#00838f'];
const view=document.getElementById('view'),tip=document.getElementById('tip'),filter=document.getElementById('filter');
const pen=view.getContext('2d'),length=2*run.events.length+4;
let from=Math.max(0,length-240),to=length,drag=null;
const x=p=>LEFT+(p-from)/(to-from)*(view.clientWidth-LEFT);
const y=l=>TOP+l*LANE;
const position=px=>from+(px-LEFT)/(view.clientWidth-LEFT)*(to-from);
function matches(e){const t=filter.value.toLowerCase();return !t||(e[3]+' '+e[4]+' '+e[5]).toLowerCase().includes(t)}
function draw(){
  const w=view.clientWidth,h=TOP+run.lanes.length*LANE+8,r=window.devicePixelRatio||1;
  view.style.height=h+'px';view.width=w*r;view.height=h*r;pen.setTransform(r,0,0,r,0,0);
  pen.clearRect(0,0,w,h);pen.font='11px "DejaVu Sans",Verdana,sans-serif';
  pen.save();pen.beginPath();pen.rect(LEFT,0,w-LEFT,h);pen.clip();
  run.lanes.forEach((n,l)=>{pen.fillStyle=l%2?'#fff':'#f6f8fa';pen.fillRect(LEFT,y(l),w,LANE)});
  const colour=[,'#9fb3c6','#4a7fb5','#dfe5ea','#e67700'],thick=[0,2,12,2,12];
  for(const [l,a,b,s] of run.runs){if(b<from||a>to)continue;pen.fillStyle=colour[s];
    pen.fillRect(x(a),y(l)+26-thick[s]/2,Math.max(x(b)-x(a),1),thick[s])}
  const rows={};
  for(const [l,a,e,b,op,t] of run.ios){if(b<from||a>to)continue;
    const ends=rows[l]=rows[l]||[];let k=ends.findIndex(v=>v<a);if(k<0)k=ends.length;ends[k]=b;
    const top=y(l)+3+(k%4)*8;pen.fillStyle=IO[op]+'55';pen.strokeStyle=IO[op];
    pen.fillRect(x(a),top,Math.max(x(b)-x(a),2),6);pen.strokeRect(x(a),top,Math.max(x(b)-x(a),2),6);
    if(e>=0){pen.fillStyle=IO[op];pen.beginPath();pen.arc(x(e),top+3,4,0,7);pen.fill()}
    if(x(b)-x(a)>120){pen.fillStyle='#22324a';pen.fillText(t,Math.max(x(a),LEFT)+6,top+6)}}
  const first=Math.max(0,Math.floor(from/2)-1),last=Math.min(run.events.length,Math.ceil(to/2)+1);
  const wide=(w-LEFT)/(to-from);
  for(let i=first;i<last;i++){const e=run.events[i],m=matches(e);
    if(!m&&wide<1.5)continue;
    pen.fillStyle=m?(e[6]?'#c62828':'#22324a'):'#d5dce2';
    pen.fillRect(x(2*i+1)-1,y(e[0])+16,e[6]?3:1.5,20)}
  const free={};   // words of what is told, where there is room for them
  for(let i=first;i<last;i++){const e=run.events[i];if(!e[6]||!matches(e))continue;
    const at=x(2*i+1),size=pen.measureText(e[4]).width;if(at<(free[e[0]]||LEFT)||at+size>w)continue;
    free[e[0]]=at+size+10;pen.fillStyle='#c62828';pen.fillText(e[4],at,y(e[0])+12)}
  for(const [p,l,n,t] of run.decisions){if(p<from||p>to)continue;pen.fillStyle='#e67700';
    pen.fillRect(x(p)-1,TOP,1.5,h);
    if(n){pen.beginPath();pen.arc(x(p),12,9,0,7);pen.fill();pen.fillStyle='#fff';pen.textAlign='center';pen.fillText(n,x(p),16);pen.textAlign='left'}}
  pen.fillStyle='#c62828';pen.fillRect(x(2*run.events.length+1),0,3,h);
  pen.restore();
  run.lanes.forEach((n,l)=>{pen.fillStyle='#22324a';pen.fillText(n.length>26?n.slice(0,25)+'…':n,4,y(l)+24)});
}
function show(a,b){const size=Math.min(Math.max(b-a,12),length);from=Math.min(Math.max(a,0),length-size);to=from+size;draw()}
view.addEventListener('wheel',e=>{e.preventDefault();const at=position(e.offsetX),k=e.deltaY>0?1.25:0.8;show(at-(at-from)*k,at+(to-at)*k)},{passive:false});
view.addEventListener('mousedown',e=>{drag={x:e.offsetX,from:from,to:to}});
window.addEventListener('mouseup',()=>{drag=null});
view.addEventListener('mouseleave',()=>{tip.style.display='none'});
view.addEventListener('mousemove',e=>{
  if(drag){const d=(e.offsetX-drag.x)/(view.clientWidth-LEFT)*(drag.to-drag.from);show(drag.from-d,drag.to-d);return}
  const p=position(e.offsetX),l=Math.floor((e.offsetY-TOP)/LANE),near=8*(to-from)/(view.clientWidth-LEFT);
  let text='';
  for(const d of run.decisions)if(Math.abs(d[0]-p)<near&&(e.offsetY<TOP||d[1]===l))text+=(d[2]?'('+d[2]+') ':'')+d[3]+'\n';
  for(const o of run.ios)if(o[0]===l&&p>=o[1]&&p<=o[3])text+=o[5]+(o[2]>=0?'':' (no effect)')+'\n';
  let best=null;
  for(let i=Math.max(0,Math.floor((p-near)/2));i<Math.min(run.events.length,(p+near)/2+1);i++){
    const v=run.events[i];if(v[0]===l&&matches(v)&&(best===null||Math.abs(2*i+1-p)<Math.abs(2*best+1-p)))best=i}
  if(best!==null){const v=run.events[best];text+=v[4]+'\n'+v[5]+'\nstep '+v[1]+', '+v[2]/1e6+' ms, '+v[3]}
  tip.style.display=text?'block':'none';tip.textContent=text.trim();
  tip.style.left=Math.min(e.clientX+14,window.innerWidth-380)+'px';tip.style.top=(e.clientY+14)+'px';
});
filter.addEventListener('input',draw);window.addEventListener('resize',draw);
document.getElementById('all').onclick=()=>show(0,length);
document.getElementById('end').onclick=()=>show(length-240,length);
const list=document.getElementById('list');
const told=[];
run.events.forEach((e,i)=>{if(e[6])told.push([2*i+1,run.lanes[e[0]],e[4],e[5],i===run.culprit[0]?'failure':''])});
for(const d of run.decisions)if(d[2])told.push([d[0],run.lanes[d[1]],'('+d[2]+') '+d[3],'','decision']);
if(run.failure[0])told.push([length-3,'',run.failure[0],'','failure']);
told.sort((a,b)=>a[0]-b[0]);
for(const t of told){const row=list.insertRow();row.className=t[4];row.onclick=()=>show(t[0]-60,t[0]+60);
  for(const words of [t[1],t[2],t[3]])row.insertCell().textContent=words}
draw();
)~";

}   // namespace traces
