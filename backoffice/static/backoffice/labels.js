// Django's boxes for choosing several give their pictures a label, which counts only where a role says that they are one.
"use strict";

const giveRoles = () => {
  for (const picture of document.querySelectorAll(".search-label-icon[aria-label]")) picture.setAttribute("role", "img");
};
addEventListener("load", () => setTimeout(giveRoles)); // the boxes are made by Django's script when the page is loaded
