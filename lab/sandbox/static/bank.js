// The customer has answered in a frame: the page around it is told, and nobody else.
"use strict";
const { parent: origin, intent, status, error, code } = document.currentScript.dataset;
if (origin) parent.postMessage({ event: "acted", intent, status, error, code }, origin);
