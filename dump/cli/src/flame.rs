//! `flame`: a profile as a flame graph with its roots at the top, as SVG or as HTML that contains the SVG.

use crate::own_frame::{call, is_own};
use crate::refusal::{Refusal, said};
use crate::show::inline::{Inline, beginning};
use crate::show::markup::escaped;
use crate::show::progress::Progress;
use crate::source::arguments::{output, source, with_source};
use crate::source::span;
use crate::stacks::{unit, value};
use clap::{Arg, ArgMatches, Command};
use runtime_dump::parse::stacks::CountedStack;
use runtime_dump::stack::Frame;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// The width of the picture.
const WIDTH: f64 = 1200.0;

/// The height of one frame.
const HEIGHT: usize = 18;

/// The least width of a frame. Narrower frames are counted instead of drawn.
const NARROWEST: f64 = 0.4;

/// The most levels that are drawn.
const DEEPEST: usize = 200;

pub(crate) fn command() -> Command {
    let command = Command::new("flame").about("A flame graph of CPU time, of another profile, or of a dump: a clickable SVG or HTML file that needs no other files");
    with_source(command)
        .arg(output("The file to write: .svg or .html").required(true))
        .arg(
            Arg::new("page")
                .long("page")
                .value_name("PAGE")
                .default_value("profile?seconds=5")
                .help("The page of a server: goroutine, heap, block?seconds=10&rate=10000"),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    said(flame(matches))
}

fn flame(matches: &ArgMatches) -> Result<String, Refusal> {
    let source = source(matches)?;
    let path: &PathBuf = matches.get_one("output").expect("clap asks for it");
    let page: &String = matches.get_one("page").expect("it has a default");
    let progress = source
        .is_live()
        .then(|| Progress::start("collecting", span(page)));
    let parsed = source.dump(page);
    drop(progress);
    let parsed = parsed?;
    let unit = unit(&parsed);
    let what = if source.is_live() {
        format!("{source} {page}")
    } else {
        source.to_string()
    };
    let picture = Picture::of(&parsed.stacks(), unit, &what);
    let is_html = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("html"));
    let file = if is_html {
        html(&what, &picture.svg)
    } else {
        picture.svg
    };
    std::fs::write(path, file).map_err(|error| Refusal::file("write", path, &error))?;
    let narrow = match picture.narrow {
        0 => String::new(),
        count => format!(", {count} too narrow or too deep to be drawn"),
    };
    Ok(format!(
        "{}: {} of {}, {} frames{narrow}",
        path.display(),
        value(picture.total, unit),
        what,
        picture.drawn
    ))
}

/// The page of a picture.
fn html(title: &str, svg: &str) -> String {
    format!(
        "{}<p id=\"tools\" hidden><label>Search <input id=\"search\" type=\"search\" autocomplete=\"off\"></label> \
         <button id=\"all\" type=\"button\">Show all</button> <span id=\"found\" role=\"status\"></span></p>\n\
         {svg}<script>{PAGE_SCRIPT}</script>\n</body></html>\n",
        beginning(title, &PAGE_STYLE, &[&STYLE], &[&SCRIPT, &PAGE_SCRIPT]),
    )
}

struct Picture {
    svg: String,
    total: i64,
    drawn: usize,
    narrow: usize,
}

/// Frames below their callers.
#[derive(Default)]
struct Node<'s> {
    value: i64,
    children: BTreeMap<String, (Option<&'s Frame>, Node<'s>)>,
}

impl Picture {
    fn of(stacks: &[CountedStack], unit: &str, title: &str) -> Self {
        let mut root = Node::default();
        // Stacks with a negative count have no width.
        for stack in stacks.iter().filter(|stack| stack.count > 0) {
            let mut node = &mut root;
            node.value = node.value.saturating_add(stack.count);
            for frame in stack.frames.iter().rev() {
                let (_, child) = node
                    .children
                    .entry(call(frame))
                    .or_insert_with(|| (Some(frame), Node::default()));
                child.value = child.value.saturating_add(stack.count);
                node = child;
            }
        }
        let mut picture = Self {
            svg: String::new(),
            total: root.value,
            drawn: 0,
            narrow: 0,
        };
        let mut frames = String::new();
        let depth = picture.draw(&mut frames, &root, "all", None, (0.0, 0), unit);
        let height = (depth + 2) * HEIGHT;
        picture.svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"100%\" font-family=\"monospace\" font-size=\"12\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n{frames}<script><![CDATA[{SCRIPT}]]></script>\n</svg>\n",
            escaped(title)
        );
        picture
    }

    /// Draws a frame and its callees. Returns the depth of the deepest one.
    fn draw(
        &mut self,
        out: &mut String,
        node: &Node<'_>,
        name: &str,
        frame: Option<&Frame>,
        (x, depth): (f64, usize),
        unit: &str,
    ) -> usize {
        let all = self.total.max(1) as f64;
        let width = node.value as f64 / all * WIDTH;
        if width < NARROWEST || depth > DEEPEST {
            self.narrow += 1;
            return depth;
        }
        self.drawn += 1;
        let letters = ((width - 6.0) / 7.3).max(0.0) as usize;
        let shown: String = if letters < 3 {
            String::new()
        } else {
            name.chars().take(letters).collect()
        };
        let _ = writeln!(
            out,
            "<g tabindex=\"0\" role=\"button\" data-x=\"{x:.2}\" data-w=\"{width:.2}\"><title>{} ({}, {:.1}%)</title><rect x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{HEIGHT}\" fill=\"{}\"/>\
             <text x=\"{:.2}\" y=\"{}\" data-n=\"{}\">{}</text></g>",
            escaped(name),
            value(node.value, unit),
            node.value as f64 / all * 100.0,
            colour(name, frame),
            x + 3.0,
            depth * HEIGHT + 13,
            escaped(name),
            escaped(&shown),
            y = depth * HEIGHT,
        );
        let mut deepest = depth;
        let mut at = x;
        for (name, (frame, child)) in &node.children {
            deepest = deepest.max(self.draw(out, child, name, *frame, (at, depth + 1), unit));
            at += child.value as f64 / all * WIDTH;
        }
        deepest
    }
}

/// A warm colour for a call of the program's own, a cool one for a library's. The name determines the colour.
fn colour(name: &str, frame: Option<&Frame>) -> String {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let hue = match frame {
        None => return "#d8d8d8".to_owned(),
        Some(frame) if is_own(frame) => 20 + hash % 30,
        Some(_) => 195 + hash % 30,
    };
    format!("hsl({hue},75%,{}%)", 70 + hash / 64 % 12)
}

/// The look of the picture.
static STYLE: Inline = Inline {
    sha256: "lhYRJm9wbHjcphAC5qSoYq5CHEHhilnzNwN0PpLqsw8=",
    text: "rect{stroke:#fff;stroke-width:.5}g{cursor:pointer}text{pointer-events:none}g:focus-visible{outline:none}g:focus-visible rect,.hit rect{stroke:#000;stroke-width:2}.miss rect{fill:#e8e8e8}",
};

/// A click or Enter widens a frame to the full width. Escape, or a click on the frame of the first row, restores the whole
/// graph.
static SCRIPT: Inline = Inline {
    sha256: "vtQlgpRCKlR3SKlbpul32DwcHv5M37Nczon0qkI7o0Y=",
    text: "
const all=[...document.querySelectorAll('svg g')];
const show=(x0,w0)=>{for(const g of all){
 const x=+g.dataset.x,w=+g.dataset.w,[rect,text]=[g.querySelector('rect'),g.querySelector('text')];
 const above=x<=x0+.01&&x+w>=x0+w0-.01,inside=x>=x0-.01&&x+w<=x0+w0+.01;
 g.style.display=above||inside?'':'none';
 const nx=above?0:(x-x0)/w0*1200,nw=above?1200:w/w0*1200,letters=Math.floor((nw-6)/7.3);
 rect.setAttribute('x',nx);rect.setAttribute('width',nw);text.setAttribute('x',nx+3);
 text.textContent=letters<3?'':text.dataset.n.slice(0,letters);
}};
for(const g of all){
 const zoom=()=>show(+g.dataset.x,+g.dataset.w);
 g.addEventListener('click',zoom);
 g.addEventListener('keydown',event=>{if(event.key==='Enter'||event.key===' '){event.preventDefault();zoom()}});
}
addEventListener('keydown',event=>{if(event.key==='Escape')show(0,1200)});
",
};

/// The look of the page. In a dark scheme, frames that do not match are dark: they would outshine those that match.
static PAGE_STYLE: Inline = Inline {
    sha256: "0naDFu5G8SswjOUbT06H5xwFOTvf2czQPz8Z794ahoQ=",
    text: "
:root{color-scheme:light dark}body{font:14px/1.5 system-ui,sans-serif;margin:1rem}h1{font-size:1.2rem;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){svg rect{stroke:#121212}svg g:focus-visible rect,svg .hit rect{stroke:#fff}svg .miss rect{fill:#2c2c2c;stroke:#6b6b6b}svg .miss text{fill:#d0d0d0}svg .miss:focus-visible rect{stroke:#fff}}",
};

/// The search. Frames follow their callers, so a frame that begins inside of the last match is below it.
static PAGE_SCRIPT: Inline = Inline {
    sha256: "wFmeA/WHcx7dNcEePLBlrhc3PcnwHGN7XPwyXKF0jvM=",
    text: "
const search=document.getElementById('search'),found=document.getElementById('found');
search.addEventListener('input',()=>{
 const text=search.value.toLowerCase();
 let finds=name=>name.toLowerCase().includes(text);
 try{const pattern=new RegExp(search.value,'i');finds=name=>pattern.test(name)}catch{}
 let sum=0,end=0;
 for(const g of all){
  const hit=text!==''&&finds(g.querySelector('text').dataset.n);
  g.classList.toggle('hit',hit);
  g.classList.toggle('miss',text!==''&&!hit);
  if(!hit||+g.dataset.x<end-.01)continue;
  sum+=+g.dataset.w;
  end=+g.dataset.x+ +g.dataset.w;
 }
 found.textContent=text===''?'':(sum/12).toFixed(1)+' % is in or below frames that match';
});
document.getElementById('all').addEventListener('click',()=>show(0,1200));
document.getElementById('tools').hidden=false;
",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(functions: &[&str], count: i64) -> CountedStack {
        let frame = |function: &&str| Frame {
            function: (*function).into(),
            file: "".into(),
            line: 0,
        };
        CountedStack {
            frames: functions.iter().map(frame).collect(),
            count,
        }
    }

    #[test]
    fn widths_are_parts_of_all() {
        let picture = Picture::of(
            &[
                stack(&["leaf<T>", "main"], 30),
                stack(&["other", "main"], 10),
                stack(&["less"], -5),
            ],
            "",
            "a & b",
        );
        assert_eq!((picture.total, picture.drawn, picture.narrow), (40, 4, 0));
        assert!(picture.svg.contains("<title>leaf&lt;T&gt; (30 x, 75.0%)</title><rect x=\"0.00\" y=\"36\" width=\"900.00\""), "{}", picture.svg);
        assert!(
            picture
                .svg
                .contains("<title>other (10 x, 25.0%)</title><rect x=\"900.00\"")
        );
        assert!(!picture.svg.contains("less"));
    }

    #[test]
    fn what_is_not_drawn_is_counted() {
        let mut stacks = vec![stack(&["wide"], 1_000_000)];
        stacks.extend((0..5).map(|number| stack(&[&format!("narrow{number}")], 1)));
        assert_eq!(Picture::of(&stacks, "", "").narrow, 5);
        assert_eq!(Picture::of(&[], "", "").drawn, 0);
    }
}
