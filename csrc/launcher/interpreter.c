/* The fast command: Python's interpreter with the package inside.
 *
 * The same as the launcher script, without what an ordinary start of Python spends before our
 * first line: no search for its own prefix, no dynamic libpython, no file of the standard library.
 * The interpreter is started by half only: types, built-in modules and imports, which is all that
 * the hot path needs. The other half (sys.path, stdio objects, codecs, signal handlers; half of the
 * whole cost) follows when something asks for a module that is neither built in nor in the image:
 * tools/boot.py calls complete(). Linked with the distribution's static libpython; where there is
 * none, the script does it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <marshal.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "snapshot_write.h"
#include "interpreter_data.h" /* frozen encodings, BOOT, paths: written by tools/embed.py */

extern const char image_start[], image_end[];
__asm__(".section .rodata\n.balign 16\n.globl image_start\nimage_start:\n.incbin \"" IMAGE "\"\n"
        ".globl image_end\nimage_end:\n.previous\n");

static int failed(const char *what)
{
    fprintf(stderr, "pycontainer: start the interpreter: %s\n", what);
    return 1;
}

static PyStatus configure(PyConfig *config, int argc, char **argv)
{
    static const wchar_t *const paths[] = { SEARCH_PATHS };
    PyStatus status;
    config->site_import = 0;
    config->install_signal_handlers = 1;
    config->_init_main = 0;
    config->parse_argv = 0;
    config->pathconfig_warnings = 0;
    config->module_search_paths_set = 1;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        status = PyWideStringList_Append(&config->module_search_paths, paths[i]);
        if (PyStatus_Exception(status))
            return status;
    }
    wchar_t **const fields[] = { &config->executable,  &config->base_executable,
                                 &config->prefix,      &config->base_prefix,
                                 &config->exec_prefix, &config->base_exec_prefix };
    for (size_t i = 0; i < 6; i++) {
        status = PyConfig_SetString(config, fields[i], i < 2 ? EXECUTABLE : PREFIX);
        if (PyStatus_Exception(status))
            return status;
    }
    return PyConfig_SetBytesArgv(config, argc, argv);
}

static int completed;
static PyObject *words; /* the command line */

/* The other half of the interpreter's start; does nothing a second time. */
static PyObject *complete(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    if (!completed) {
        completed = 1;
        PyStatus status = _Py_InitializeMain();
        if (PyStatus_Exception(status)) {
            PyErr_SetString(PyExc_RuntimeError, status.err_msg);
            return NULL;
        }
        PySys_SetObject("argv", words); /* of a snapshot's start it has others */
        PyObject *encodings = PyImport_ImportModule("encodings");
        PyObject *files = Py_BuildValue("[s]", ENCODINGS); /* a frozen package knows of none */
        if (!encodings || !files || PyObject_SetAttrString(encodings, "__path__", files) < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef complete_method = { "complete", complete, METH_NOARGS, NULL };

static PyObject *list_of(int argc, char **argv)
{
    PyObject *list = PyList_New(0);
    for (int i = 1; list && i < argc; i++) {
        PyObject *text = PyUnicode_DecodeUTF8(argv[i], (Py_ssize_t)strlen(argv[i]), "surrogateescape");
        if (!text || PyList_Append(list, text) < 0)
            return NULL;
        Py_DECREF(text);
    }
    return list;
}

/* BOOT with its names: from then on imports find the image. Its globals, or NULL. */
static PyObject *boot(void)
{
    PyObject *image =
        PyMemoryView_FromMemory((char *)image_start, image_end - image_start, PyBUF_READ);
    PyObject *globals = Py_BuildValue("{sNssss}", "image", image, "directory", DIRECTORY,
                                      "__name__", "boot");
    PyObject *found = PyDict_New();
    PyObject *rest = PyCFunction_New(&complete_method, NULL);
    static const char *const extensions[][2] = { EXTENSIONS };
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
        if (found && extensions[i][0])
            PyDict_SetItemString(found, extensions[i][0], PyUnicode_FromString(extensions[i][1]));
    if (!globals || !found || !rest || PyDict_SetItemString(globals, "extensions", found) < 0 ||
        PyDict_SetItemString(globals, "complete", rest) < 0 ||
        PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) < 0)
        return NULL;
    PyObject *code = PyMarshal_ReadObjectFromString((const char *)BOOT, sizeof(BOOT));
    return code && PyEval_EvalCode(code, globals, globals) ? globals : NULL;
}

/* What an exception that nobody has caught says, which takes the whole interpreter. */
static int complain(void)
{
    PyObject *kind, *value, *trace;
    PyErr_Fetch(&kind, &value, &trace);
    Py_XDECREF(complete(NULL, NULL));
    PyErr_Restore(kind, value, trace);
    PyErr_Print();
    return 1;
}

/* The command line. Only an error returns. `start` is what `info` says of this one. */
static int run(int argc, char **argv, const char *start)
{
    PySys_SetObject("pycontainer_start", PyUnicode_FromString(start));
    signal(SIGPIPE, SIG_IGN); /* as Python does: a reader that goes away is an error, not the end */
    words = list_of(argc, argv);
    PyObject *cli = words ? PyImport_ImportModule("pycontainer.cli") : NULL;
    if (cli)
        PyObject_CallMethod(cli, "main", "O", words);
    return complain();
}

/* posix.environ, which was made from another environment. */
static int read_environment(char **entries)
{
    PyObject *posix = PyImport_ImportModule("posix");
    PyObject *all = posix ? PyObject_GetAttrString(posix, "environ") : NULL;
    if (!all)
        return -1;
    PyDict_Clear(all);
    for (; *entries; entries++) {
        const char *equals = strchr(*entries, '=');
        PyObject *name = equals ? PyBytes_FromStringAndSize(*entries, equals - *entries) : NULL;
        PyObject *value = name ? PyBytes_FromString(equals + 1) : NULL;
        if (equals && (!value || !PyDict_SetDefault(all, name, value)))
            return -1;
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return 0;
}

/* Where the front goes on in a snapshot. */
static void resume(int argc, char **argv, char **entries)
{
    environ = entries;
    (void)!brk(NULL); /* the C library's idea of where it is, is another process's */
    _exit(read_environment(entries) ? complain() : run(argc, argv, "snapshot"));
}

/* Only bare_start calls it so: what the hot path imports, loaded; then everything to a file. */
static int snapshot(char **argv, PyObject *globals)
{
    PyObject *load = PyDict_GetItemString(globals, "preload");
    if (!load || !PyObject_CallNoArgs(load))
        return complain();
    const char *error = snapshot_write(argv[2], argv, resume);
    return error ? failed(error) : 0;
}

int main(int argc, char **argv)
{
    PyPreConfig early;
    PyConfig config;
    PyStatus status;
    PyPreConfig_InitIsolatedConfig(&early);
    early.utf8_mode = 1;
    status = Py_PreInitialize(&early);
    if (PyStatus_Exception(status))
        return failed(status.err_msg);
    PyImport_FrozenModules = FROZEN;
    PyConfig_InitIsolatedConfig(&config);
    status = configure(&config, argc, argv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        return failed(status.err_msg);
    PyGC_Disable(); /* no command lives long enough to need it */
    PyObject *globals = boot();
    if (!globals)
        return complain();
    if (argc == 3 && !strcmp(argv[1], "--snapshot"))
        return snapshot(argv, globals);
    return run(argc, argv, "interpreter");
}
