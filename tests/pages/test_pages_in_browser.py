"""The report as people use it: in headless Chromium, with a mouse, a keyboard, a phone, at night.

Chromium is the system's, best without its windows (Debian's chromium-headless-shell, which takes
half the time of chromium); playwright drives it and downloads nothing.
"""

import re
import shutil
from pathlib import Path

import fake_results
import hydra
import pytest
from fake_claims import part, view, write_folder
from fake_results import SHIFTS, run_folder, write_csv, write_experiment, write_run

from bnbench import CONFIGS, cli
from bnbench.config.arms import arm_id, science
from bnbench.pages.claims import write_claims
from bnbench.pages.report import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason=f"no Chromium: apt-get install {BROWSERS[0]}"),
]
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
ARMS = ["norm=none", "norm=batchnorm", "norm=batchnorm placement=post", "norm=layernorm"]
FIGURES = [
    {"kind": "curves", "title": "Accuracy by step", "logx": True},
    {"kind": "curves", "title": "Loss by step", "y": "val/loss", "logx": True, "logy": True},
    {"kind": "versus", "title": "Accuracy & rate", "x": "optim.lr_mult", "y": "test/accuracy"},
    {"kind": "severity", "title": "Accuracy under shift"},
]
# the least contrast of text with what is behind it, over all visible elements that have text
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (item) => {
    for (; item; item = item.parentElement) {
      const colour = parse(getComputedStyle(item).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  let worst = [99, ""];
  for (const item of document.body.querySelectorAll(":not(script):not(svg):not(svg *)")) {
    const hasText = [...item.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || !item.checkVisibility()) continue;
    const [a, b] = [parse(getComputedStyle(item).color), behind(item)].map(light);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < worst[0]) worst = [contrast, item.outerHTML.slice(0, 200)];
  }
  return worst;
}"""


def shifted(tree):
    """Rows of shifts.csv: three shifts; a net with batch normalisation under two policies."""
    policies = ("ema", "precise") if tree["norm"]["name"] == "batchnorm" else ("ema",)
    return [
        (shift, severity, policy, "accuracy", 0.9 - 0.01 * severity * (1 + (policy == "precise")))
        for shift in ("blur", "contrast", "gaussian_noise")
        for severity in range(1, 6)
        for policy in policies
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of real arms with made-up runs, and a claim."""
    results = tmp_path_factory.mktemp("browser") / "results"
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"):
        asked = [cli.read([f"results={results}", *words.split()], False) for words in ARMS]
    trees = [science(arm.config) for request in asked for arm in request.arms.values()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_results, "arm_of", arm_id)
        rows = [
            write_run(results, tree, seed, diverges=(tree["norm"]["name"], seed) == ("none", 3))
            for tree in trees
            for seed in range(4)
        ]
        for tree in trees:
            for seed in range(4):
                write_csv(run_folder(results, tree, seed) / "shifts.csv", SHIFTS, shifted(tree))
    report = {"figures": FIGURES, "compare": [{"baseline": {"norm.name": "none"}}]}
    sides = {"treatment": {"placement": "post"}, "baseline": {"placement": "pre"}}
    report["answer"] = [{"statistic": "difference", **sides}]
    write_experiment(results, "one", rows, report=report)
    claims = results / "claims" / "digits"
    given = [
        (
            view(name, family, caveats=("It is not C2.",)),
            verdict,
            [part(label, verdict, mean, sesoi=(1, None), unit="pp") for label, mean in parts],
            0.4,
        )
        for name, family, verdict, *parts in (
            ("C1", "Convergence", "confirmed", ("a", 3.0)),
            ("C2", "Convergence", "contrary", ("a", -3.0)),
            ("C3", "Convergence", "undecided", ("a", 1.0)),
            ("M1", "Mechanism", "confirmed", ("a", 5.0)),
            ("M2", "Mechanism", "confirmed", ("a", 2.0), ("b", 30.0)),
        )
    ]
    identity = [("y", "largest error", 4.03e-16, "<=", 1e-10)]
    given.insert(0, (view("E1", "Exact"), "confirmed", identity, None))
    views = write_folder(claims, given)
    write_claims(claims, views)
    assert write_report(results).problems == []
    return results


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, results):
    """Open a page of the results; at the end nothing may have gone wrong or been asked for."""
    contexts, troubles = [], []

    def visit(path="report.html", width=1280, scheme="light", script=True, height=900):
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=script,
        )
        contexts.append(context)
        page = context.new_page()
        file, _, place = path.partition("#")
        url = (results / file).as_uri()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                asked.url.startswith((url, "data:", "blob:")) or troubles.append(asked.url)
            ),
        )
        page.goto(f"{url}#{place}" if place else url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert troubles == []


def drawn(page):
    """Scroll every plot into view, and wait until it is there."""
    plots = page.locator(".plot")
    for plot in plots.all():
        plot.scroll_into_view_if_needed()
        plot.locator(".main-svg").first.wait_for()
    return plots


def arms(page):
    return page.locator("table[data-runs]").first


def column(table, name):
    """The cells of a visible column, in the order that they are shown."""
    headers = [text.rstrip(" ↕↑↓") for text in table.locator("thead th").all_inner_texts()]
    place = headers.index(name) + 1
    return table.locator(f"tbody tr:visible > td:nth-child({place})").all_inner_texts()


@pytest.mark.parametrize("path", ["report.html", "experiments/one/digits/report.html"])
def test_a_header_sorts_up_and_down(visit, path):
    table = arms(visit(path))
    header = table.locator("th", has_text="test accuracy")
    before = column(table, "test accuracy (%)")
    header.get_by_role("button").click()
    up = column(table, "test accuracy (%)")
    assert up == sorted(before, key=lambda text: float(text.split()[0]))
    assert up != before
    assert header.get_attribute("aria-sort") == "ascending"
    header.get_by_role("button").focus()
    table.page.keyboard.press("Enter")
    assert column(table, "test accuracy (%)") == up[::-1]
    assert header.get_attribute("aria-sort") == "descending"
    table.get_by_role("button", name="arm", exact=True).press("Space")
    assert column(table, "arm") == sorted(column(table, "arm"))
    assert table.locator("[aria-sort]").count() == 1


@pytest.mark.parametrize("width", [1280, 400])
def test_a_filter_hides_rows_and_says_how_many_are_left(visit, width):
    page = visit(width=width)
    box = page.get_by_role("searchbox", name="Filter: Arms of one")
    box.fill("batchnorm AFTER")
    assert column(arms(page), "arm") == ["BatchNorm · after activation"]
    assert page.get_by_role("status").filter(has_text="1 of 4 rows").count() == 1
    box.fill("")
    assert len(column(arms(page), "arm")) == 4
    page.get_by_role("searchbox", name="Filter: Scoreboard on digits").fill("contrary")
    board = page.locator("table.scoreboard").first
    assert board.locator("tbody tr:not(.family):visible td:first-child").all_inner_texts() == ["C2"]


@pytest.mark.parametrize("width", [1280, 400])
def test_a_filter_compares_numbers_and_settings(visit, width):
    page = visit(width=width)
    table = arms(page)
    values = {
        name: float(text.split()[0])
        for name, text in zip(column(table, "arm"), column(table, "test accuracy (%)"), strict=True)
    }
    limit = sorted(values.values())[1]
    box = page.get_by_role("searchbox", name="Filter: Arms of one")
    box.fill(f"acc>{limit}")
    assert column(table, "arm") == [name for name, value in values.items() if value > limit]
    box.fill(f"acc <= {limit}")  # blanks do not matter
    assert column(table, "arm") == [name for name, value in values.items() if value <= limit]
    box.fill("norm=BN")
    assert column(table, "arm") == ["BatchNorm · before activation", "BatchNorm · after activation"]
    box.fill("norm=bn placement=post test>50")
    assert column(table, "arm") == ["BatchNorm · after activation"]
    for nothing in ("nothing>1", "acc=bn", "norm>1"):
        box.fill(nothing)
        assert column(table, "arm") == []


def clipboard(page):
    """What was copied: it is pasted into a text area, which keeps its lines."""
    page.evaluate("document.body.prepend(document.createElement('textarea'))")
    area = page.locator("textarea").first
    area.press("Control+V")
    text = area.input_value()
    area.evaluate("item => item.remove()")
    return text


def test_rows_that_are_shown_are_copied_in_three_formats(visit):
    page = visit()
    table = arms(page)
    box = page.get_by_role("searchbox", name="Filter: Arms of one")
    box.fill("norm=bn")
    table.locator("th", has_text="test accuracy").get_by_role("button").click()
    names, values = column(table, "arm"), column(table, "test accuracy (%)")
    copies = page.locator(".copies").first
    copied = {}
    for name in ("CSV", "Markdown", "LaTeX"):
        copies.get_by_role("button", name=name).press("Enter")
        copies.get_by_role("button", name="Copied").wait_for()
        copied[name] = clipboard(page).splitlines()
        copies.get_by_role("button", name=name).wait_for()
    assert [line.split(",")[:2] for line in copied["CSV"]] == [
        ["arm", "test accuracy (%)"],
        *map(list, zip(names, values, strict=True)),
    ]
    assert copied["Markdown"][1].startswith("| --- | ---: |")
    assert copied["Markdown"][2].startswith(f"| {names[0]} | {values[0]} |")
    head, top, title, rule, first, second, bottom, end = copied["LaTeX"]
    assert re.fullmatch(r"\\begin\{tabular\}\{lr+\}", head)
    assert (top, rule, bottom, end) == (
        "\\toprule",
        "\\midrule",
        "\\bottomrule",
        "\\end{tabular}",
    )
    assert title.startswith(r"arm & test accuracy (\%) & ")
    for line, name, value in zip((first, second), names, values, strict=True):
        cells = [name.replace("·", r"$\cdot$"), value.replace("±", r"$\pm$")]
        assert line.startswith(" & ".join(cells))
        assert line.endswith(r" \\")


def test_the_first_column_stays_and_more_columns_are_told(visit):
    page = visit(width=400)
    frame = page.locator(".rows").first
    frame.scroll_into_view_if_needed()
    cell = frame.locator("tbody tr td").first
    more = page.locator(".more").first
    place = cell.bounding_box()["x"]
    assert more.is_visible()
    frame.evaluate("frame => { frame.scrollLeft = frame.scrollWidth; }")
    more.wait_for(state="hidden")
    assert cell.bounding_box()["x"] == pytest.approx(place, abs=1)
    last = frame.locator("tbody tr").first.locator("td").last.bounding_box()
    assert last["x"] + last["width"] <= 400


@pytest.mark.parametrize("path", ["report.html", "experiments/one/digits/report.html"])
def test_nothing_is_cut_off_on_paper(visit, path):
    page = visit(path, width=794)  # A4 at 96 dots to the inch
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") == 794
    cut = """() => [...document.querySelectorAll("td, th, p, li")].filter((item) => {
      const box = item.getBoundingClientRect();
      return box.width && box.right > 794;
    }).length"""
    assert page.evaluate(cut) == 0
    assert page.locator("main details.guide p").is_visible()


def test_the_answer_comes_first_and_the_guide_is_folded(visit):
    page = visit()
    first = page.locator("main article .lead").first.bounding_box()["y"]
    assert first < page.locator("main article figure").first.bounding_box()["y"]
    assert first < page.locator("main article table.sortable").first.bounding_box()["y"]
    guide = page.locator("main details.guide")
    assert not guide.locator("p").is_visible()
    guide.locator("summary").press("Enter")
    assert guide.locator("p").is_visible()


def test_a_row_opens_to_its_runs_and_its_command(visit, results):
    page = visit()
    table = arms(page)
    button = table.locator("button.open").nth(1)
    name = button.get_attribute("aria-label")
    button = table.get_by_role("button", name=name)
    arm = button.locator("xpath=ancestor::tr").get_attribute("data-arms")
    button.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    detail = table.locator("tr.detail")
    links = [link.get_attribute("href") for link in detail.get_by_role("link").all()]
    assert links == [f"runs/{arm}/seed-{seed}/" for seed in range(4)]
    assert all((results / link).is_dir() for link in links)
    values = [float(text) for text in detail.locator("tbody td:nth-child(3)").all_inner_texts()]
    shown = table.locator(f"tr[data-arms='{arm}'] td.number").first.inner_text()
    assert shown.startswith(f"{sum(values) / 4:.2f} ± ")
    assert detail.locator(".note code").inner_text() == arm
    command = detail.locator("pre code").inner_text()
    assert re.search(r"norm=\w+ .*'seeds=\[0,1,2,3\]'", command)
    detail.get_by_role("button", name="Copy").click()
    detail.get_by_role("button", name="Copied").wait_for()
    box = page.get_by_role("searchbox").first
    box.press("Control+V")
    assert box.input_value() == command
    box.fill("")
    table.locator("th", has_text="test accuracy").get_by_role("button").click()
    assert table.locator(f"tr[data-arms='{arm}'] + tr.detail").count() == 1  # it stays with its row
    button.click()
    assert table.locator("tr.detail").count() == 0


def test_a_difference_opens_to_its_pairs(visit, results):
    page = visit("experiments/one/digits/report.html")
    table = page.locator("table[data-runs]").nth(1)
    table.locator("td.number").first.click()
    cells = table.locator("tr.detail tbody td:nth-child(4)").all_inner_texts()
    assert cells[3] == "–"  # its baseline diverged
    mean = sum(map(float, cells[:3])) / 3
    assert float(table.locator("td.number").first.inner_text()) == pytest.approx(mean, abs=0.011)
    link = table.locator("tr.detail a").first.get_attribute("href")
    assert (results / "experiments/one/digits" / link).is_dir()


def test_curves_are_drawn_when_seen_and_shown_arm_by_arm(visit):
    page = visit("experiments/one/digits/report.html")
    assert page.locator(".plot").last.locator(".main-svg").count() == 0
    plots = drawn(page)
    assert plots.count() == len(FIGURES)
    names = page.locator(".legend").first.get_by_role("button")
    assert names.all_inner_texts() == [
        "no norm",
        "BatchNorm · before activation",
        "BatchNorm · after activation",
        "LayerNorm · before activation",
    ]
    visible = """() => {
      const shown = document.querySelector(".plot").data.filter((trace) => trace.visible);
      return [...new Set(shown.map((trace) => trace.name))];
    }"""
    everything = sorted(names.all_inner_texts())
    assert sorted(page.evaluate(visible)) == everything
    names.first.click()
    assert names.first.get_attribute("aria-pressed") == "false"
    assert sorted(page.evaluate(visible)) == [name for name in everything if name != "no norm"]
    names.first.press("Space")
    assert sorted(page.evaluate(visible)) == everything
    names.nth(1).dblclick()
    assert page.evaluate(visible) == ["BatchNorm · before activation"]
    names.nth(1).dblclick()
    assert sorted(page.evaluate(visible)) == everything


def hover(page, figure, trace, point):
    """Point at one point of a plot, and give what is said there."""
    plot = page.locator(".plot").nth(figure)
    plot.scroll_into_view_if_needed()
    place = plot.evaluate(
        """(plot, [want, k]) => {
          const trace = plot.data.find((t) => t.hovertemplate && [t.name, t.mode].includes(want));
          const box = plot.getBoundingClientRect();
          const [x, y] = ["x", "y"].map((letter) => {
            const axis = trace[`${letter}axis`].replace(letter, `${letter}axis`);
            const { _offset, d2p } = plot._fullLayout[axis];
            return _offset + d2p(trace[letter].at(k));
          });
          return [box.x + x, box.y + y];
        }""",
        [trace, point],
    )
    page.mouse.move(*place)
    label = plot.locator(".hoverlayer .hovertext")
    label.wait_for()
    inside, own = label.locator("text.nums").bounding_box(), plot.bounding_box()
    assert own["x"] <= inside["x"]
    assert inside["x"] + inside["width"] <= own["x"] + own["width"]
    return label.text_content()


@pytest.mark.parametrize("width", [1280, 400])
def test_hovering_says_arm_place_mean_and_interval(visit, width):
    page = visit("experiments/one/digits/report.html", width=width)
    drawn(page)
    measured = r" \(%\) ?[\d.]+ \[[\d.]+, [\d.]+\]n = [34] seeds"
    arm = r"mlp-\w+-\w+-[0-9a-f]{8}"
    text = hover(page, 0, "LayerNorm · before activation", -4)
    assert re.search(rf"LayerNorm.*{arm}training step 32validation accuracy{measured}", text)
    text = hover(page, 2, "LayerNorm · before activation", 0)
    assert re.search(rf"LayerNorm.*{arm}learning rate multiplier 1test accuracy{measured}", text)
    text = hover(page, 3, "BatchNorm · statistics precise · before activation", 2)
    assert re.search(rf"BatchNorm.*{arm}severity of the shift 2test accuracy{measured}", text)
    text = hover(page, 2, "markers", 0)
    assert re.search(
        rf"no norm{arm}learning .* 1test accuracy \(%\) ?not finiteseed 3, diverged", text
    )


@pytest.mark.parametrize("width", [1280, 400])
def test_labels_of_plots_are_neither_cut_nor_over_each_other(visit, width):
    page = visit("experiments/one/digits/report.html", width=width)
    for plot in drawn(page).all():
        troubles = plot.evaluate("""(plot) => {
          const outer = plot.getBoundingClientRect();
          const labels = ".xtick text, .ytick text, .annotation, .g-xtitle, .g-ytitle";
          const texts = [...plot.querySelectorAll(labels)].filter((item) => item.textContent);
          const boxes = texts.map((item) => item.getBoundingClientRect());
          const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
          const isOut = (a) => a.left < outer.left || a.right > outer.right
            || a.top < outer.top || a.bottom > outer.bottom;
          return texts.filter((_, k) => isOut(boxes[k])
            || boxes.slice(k + 1).some((other) => over(boxes[k], other)))
            .map((item) => item.textContent);
        }""")
        assert troubles == []
    titles = [box.bounding_box() for box in page.locator(".plot").last.locator(".annotation").all()]
    assert len(titles) == 3
    sides = {round(box["x"] + box["width"] / 2) for box in titles}
    assert max(sides) - min(sides) < 3 if width == 400 else len(sides) == 3
    assert len({round(box["y"]) for box in titles}) == (3 if width == 400 else 1)


@pytest.mark.parametrize("script", [True, False])
def test_an_image_is_as_wide_as_a_phone(visit, script):
    page = visit("experiments/one/digits/report.html", width=400, script=script)
    for button in page.locator(".switch").all():
        button.click()
    for card in page.locator(".card").all():
        assert card.evaluate("(card) => card.scrollWidth - card.clientWidth") == 0
        assert card.locator("img").bounding_box()["width"] > 330


def test_curves_give_way_to_the_image_on_demand_and_on_paper(visit):
    page = visit("experiments/one/digits/report.html")
    drawn(page)
    figure = page.locator("figure").first
    image, plot = figure.locator("img"), figure.locator(".plot")
    assert (image.is_visible(), plot.is_visible()) == (False, True)
    figure.get_by_role("button", name="Show as image").press("Enter")
    assert (image.is_visible(), plot.is_visible()) == (True, False)
    figure.get_by_role("button", name="Show as plot").press("Enter")
    assert (image.is_visible(), plot.is_visible()) == (False, True)
    page.emulate_media(media="print")
    assert (image.is_visible(), plot.is_visible()) == (True, False)


def test_without_scripts_it_is_a_page_of_tables_and_images(visit):
    page = visit(script=False)
    assert all(image.is_visible() for image in page.locator("img").all())
    assert page.locator("img").count() == len(FIGURES)
    assert arms(page).locator("tbody tr").count() == 4
    assert page.locator("button, input").count() == 0


@pytest.mark.parametrize("path", ["report.html", "claims/digits/report.html"])
def test_day_and_night_can_be_read(visit, path):
    page = visit(path)
    plots = drawn(page)
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)  # plots are drawn anew
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        contrast, where = page.evaluate(CONTRAST)
        assert contrast >= 4.5, where
        ink = "document.querySelector('.plot .xtick text')?.style.fill"
        background = "getComputedStyle(document.body).backgroundColor"
        colours.append((page.evaluate(background), page.evaluate(ink)))
    (day, day_ink), (night, night_ink) = colours
    assert day != night
    assert day_ink != night_ink or plots.count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path", ["report.html", "experiments/one/digits/report.html", "claims/digits/report.html"]
)
def test_a_phone_scrolls_in_one_direction(visit, path, scheme):
    page = visit(path, width=400, scheme=scheme)
    drawn(page)
    for button in page.locator("button.open, summary").all():
        button.click()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == 400
    assert page.evaluate(CONTRAST)[0] >= 4.5


CLAIMS = "claims/digits/report.html"


@pytest.mark.parametrize("path", ["report.html", CLAIMS])
def test_headers_of_the_scoreboard_sort_inside_each_family(visit, path):
    page = visit(path)
    table = page.locator("table.scoreboard").first

    def rows():
        return table.locator("tbody tr").evaluate_all(
            "rows => rows.map((row) => row.cells[0].textContent)"
        )

    assert rows() == ["Convergence", "C1", "C2", "C3", "Mechanism", "M1", "M2"]
    header = table.get_by_role("columnheader", name="estimate [interval]")
    header.get_by_role("button").press("Enter")  # C2 is below zero
    assert rows() == ["Convergence", "C2", "C3", "C1", "Mechanism", "M2", "M1"]
    assert header.get_attribute("aria-sort") == "ascending"
    header.get_by_role("button").click()
    assert rows() == ["Convergence", "C1", "C3", "C2", "Mechanism", "M1", "M2"]
    table.get_by_role("columnheader", name="verdict").get_by_role("button").click()
    assert rows() == ["Convergence", "C1", "C2", "C3", "Mechanism", "M1", "M2"]


def test_a_link_opens_what_it_leads_into(visit):
    page = visit(CLAIMS)
    claim = page.locator("article#E1")
    assert not claim.is_visible()
    fold = page.locator("header details.fold")
    fold.locator("summary").press("Enter")
    fold.get_by_role("link", name="E1", exact=True).click()
    assert claim.is_visible()
    assert 0 <= claim.bounding_box()["y"] < 900  # it was scrolled to
    page.locator("main details.kind > summary").click()
    assert not claim.is_visible()
    fold.get_by_role("link", name="E1", exact=True).click()  # the address has the hash already
    assert claim.is_visible()


def test_the_report_leads_into_the_folds_of_the_claims(visit, results):
    page = visit()
    page.locator("details.fold summary").first.click()
    link = page.get_by_role("link", name="E1", exact=True).get_attribute("href")
    assert visit(link).locator("article#E1").is_visible()


def test_evidence_unfolds_by_keyboard(visit):
    page = visit(CLAIMS)
    fold = page.locator("article#C1 details")
    assert not fold.locator("img").is_visible()
    for key, is_open in (("Enter", True), ("Space", False)):
        fold.locator("summary").press(key)
        assert fold.locator("img").is_visible() == is_open


def test_a_claim_is_one_screen(visit):
    page = visit(CLAIMS, height=800)
    for claim in page.locator("article.claim:visible").all():
        box = claim.bounding_box()
        assert box["height"] < 800
        assert claim.locator(".verdict").first.is_visible()
        assert claim.locator(".intervals .bar").first.is_visible()
        assert claim.locator("pre").is_visible()


@pytest.mark.parametrize("script", [True, False])
def test_paper_shows_what_is_folded(visit, script):
    page = visit(CLAIMS, script=script)
    assert not page.locator("article#E1").is_visible()
    page.emulate_media(media="print")
    for item in ("article#E1", "article#E1 img", "article#C1 dl", "article#M2 table", ".verdicts"):
        assert page.locator(item).first.is_visible(), item
    page.emulate_media(media="screen")
    assert not page.locator("article#E1").is_visible()


@pytest.mark.parametrize("path", ["report.html", "claims/digits/report.html"])
def test_everything_is_reached_by_tab_and_has_a_name(visit, path):
    page = visit(path)
    drawn(page)
    page.evaluate("window.scrollTo(0, 0); document.activeElement.blur()")
    wanted = page.evaluate("""() => {
      const all = [...document.querySelectorAll("a[href], button, input, summary")];
      const seen = all.filter((item) => item.checkVisibility());
      seen.forEach((item, k) => { item.dataset.place = k; });
      return seen.map((item) => (item.getAttribute("aria-label") ?? item.textContent).trim());
    }""")
    assert all(wanted)
    reached = set()
    for _ in range(3 * len(wanted)):
        page.keyboard.press("Tab")
        place = page.evaluate("document.activeElement.dataset.place")
        if place is not None:
            reached.add(int(place))
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            assert page.evaluate(outline) != "none"
        if len(reached) == len(wanted):
            break
    assert reached == set(range(len(wanted)))
    images = page.locator("img, [role=img]").all()
    assert images
    for image in images:
        name = image.get_attribute("alt") or image.get_attribute("aria-label")
        assert len(name) > 40


def test_every_page_is_small_and_one_file(results):
    for path in results.rglob("report.html"):
        assert path.stat().st_size < 6_000_000
        assert not re.search(r"""(src|href)=["']https?:""", Path(path).read_text(encoding="utf-8"))
