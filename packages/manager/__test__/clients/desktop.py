# A desktop without a screen: an X server, a session bus and what clients of it show, as assistive
# technology sees it. It answers requests, each a line of JSON, and all ends with it: it is the
# first process of its own namespace.
import json
import os
import subprocess
import sys
import warnings

import gi

# Its documentation has no other names for these.
warnings.simplefilter("ignore", DeprecationWarning)

WIDTH, HEIGHT = 1280, 1024
# Of what a client shows; one that shows more is not looked at further.
NODES = 4000
DEPTH = 40

children = {}
accessible = None


def first_line(words):
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=sys.stderr)
    return child.stdout.readline().decode().strip()


def open_desktop(folder):
    size = f"{WIDTH}x{HEIGHT}x24"
    number = first_line(
        ["Xvfb", "-displayfd", "1", "-screen", "0", size, "-nolisten", "tcp", "-fbdir", folder]
    )
    os.environ["DISPLAY"] = f":{number}"
    os.environ["DBUS_SESSION_BUS_ADDRESS"] = first_line(
        ["dbus-daemon", "--session", "--nofork", "--print-address"]
    )
    global accessible
    gi.require_version("Atspi", "2.0")
    from gi.repository import Atspi

    accessible = Atspi
    Atspi.init()
    Atspi.set_timeout(5000, 5000)
    return {}


def start(words, env):
    child = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=sys.stderr, env={**os.environ, **env}
    )
    children[child.pid] = child
    return {"pid": child.pid}


def code(pid):
    return {"code": children[pid].poll()}


def input(words):
    subprocess.run(["xdotool", *words], check=True, timeout=300, stdout=sys.stderr)
    return {}


def describe(node):
    states = node.get_state_set()
    shown = {"role": node.get_role_name(), "name": node.get_name() or ""}
    for state in ("showing", "sensitive", "checked", "focused"):
        shown[state] = states.contains(getattr(accessible.StateType, state.upper()))
    shown["box"] = [0, 0, 0, 0]
    if shown["showing"]:
        box = node.get_extents(accessible.CoordType.SCREEN)
        shown["box"] = [box.x, box.y, box.width, box.height]
    if (text := node.get_text_iface()) is not None:
        count = accessible.Text.get_character_count(text)
        shown["text"] = accessible.Text.get_text(text, 0, count)
    return shown


def walk(node, depth, found):
    """Nodes with their depths, parents first; what vanishes meanwhile is left out."""
    if len(found) >= NODES or depth > DEPTH:
        return
    try:
        found.append((depth, describe(node)))
        kids = [node.get_child_at_index(index) for index in range(node.get_child_count())]
    except gi.repository.GLib.GError:
        return
    for kid in kids:
        if kid is not None:
            walk(kid, depth + 1, found)


def look():
    desktop = accessible.get_desktop(0)
    desktop.clear_cache()
    found = []
    walk(desktop, 0, found)
    return {"nodes": [{"depth": depth, **shown} for depth, shown in found]}


METHODS = {"open": open_desktop, "start": start, "code": code, "input": input, "look": look}

for line in sys.stdin:
    request = json.loads(line)
    method = METHODS[request.pop("method")]
    try:
        answer = {"result": method(**request)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
